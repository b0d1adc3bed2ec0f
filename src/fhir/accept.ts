import { headerElements, type HeaderElement } from './header-list.ts'

/** Media types in which a kick-off's answer may be asked for; the answer is FHIR JSON all the same. */
export const FHIR_JSON: readonly string[] = ['application/fhir+json', 'application/json']

/** The type in a `Content-Type`, in lower case and without parameters; '' for none. */
export const mediaTypeIn = (header: string | null | undefined): string => header?.split(';')[0]?.trim().toLowerCase() ?? ''

/**
 * Whether a client takes one of the types offered. The most specific range decides for each type, and `q=0` refuses it.
 *
 * @param header `Accept`. Absent, or without one readable range: everything is taken. A range's own parameters do not matter, and
 *   a `+` that was sent as a blank is understood.
 * @param offered Media types without parameters, in lower case.
 * @see RFC 9110 §12.5.1; Bulk Data Kick-off, Headers [KO-07]; Status Request [ST-17]
 */
export const accepts = (header: string | null, offered: readonly string[]): boolean => {
  const ranges = headerElements(header).flatMap(rangeOf)
  return ranges.length === 0 || offered.some((type) => qualityOf(type, ranges) > 0)
}

interface Range {
  readonly type: string
  readonly quality: number
}

const rangeOf = ({ value, parameters }: HeaderElement): readonly Range[] => {
  // Java's URLConnection sends a single star
  const type = value === '*' ? '*/*' : value.toLowerCase().replace('fhir ', 'fhir+')
  if (!/^[^\s/]+\/[^\s/]+$/.test(type)) return []
  const quality = Number(parameters.get('q') ?? 1)
  return [{ type, quality: Number.isNaN(quality) ? 1 : quality }]
}

const qualityOf = (type: string, ranges: readonly Range[]): number => {
  for (const candidate of [type, `${type.split('/', 1)[0]}/*`, '*/*']) {
    const qualities = ranges.filter((range) => range.type === candidate).map((range) => range.quality)
    if (qualities.length > 0) return Math.max(...qualities)
  }
  return 0
}
