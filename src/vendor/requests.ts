import { ExportError } from '../errors.ts'
import type { KickoffParams, KickoffParameter, Level } from '../fhir/kickoff-params.ts'
import { DEFAULT_LIMITS, type RequestPurpose } from './adapter.ts'
import type { Source } from './source.ts'
import type { TrustedRequest, TrustPolicy } from './trusted-fetch.ts'

/** An export as it is asked of the vendor. */
export interface VendorKickoff {
  readonly level: Level
  readonly groupId?: string
  readonly params: KickoffParams
}

const PATHS: Record<Level, string> = { system: '/$export', patient: '/Patient/$export', group: '/Group/{groupId}/$export' }

const FHIR_JSON = 'application/fhir+json'

/** Servers refuse longer ones, some by hanging up. */
const MAX_URL_LENGTH = 8_000

/** Minimal headers: some vendors refuse any other [N-07]. */
const HEADERS: Record<RequestPurpose, Readonly<Record<string, string>>> = {
  kickoff: { Accept: FHIR_JSON, Prefer: 'respond-async' },
  status: { Accept: 'application/json' },
  cancel: { Accept: FHIR_JSON },
  file: { Accept: 'application/fhir+ndjson' },
  group: { Accept: FHIR_JSON },
}

/** Fills `{name}` from the source; `undefined` when a name has no value. */
const fill = (template: string, source: Source, groupId?: string): string | undefined => {
  const values: Record<string, string | undefined> = {
    ...source.options,
    fhirBase: source.fhirBase,
    groupId: groupId === undefined ? undefined : encodeURIComponent(groupId),
    clientId: 'clientId' in source.credential ? source.credential.clientId : undefined,
  }
  let missing = false
  const filled = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name]
    missing ||= value === undefined
    return value ?? ''
  })
  return missing ? undefined : filled
}

/** The headers of a request for one purpose. One whose placeholder has no value is left out. */
export const headersFor = (source: Source, purpose: RequestPurpose): Record<string, string> => {
  const headers: Record<string, string> = { ...HEADERS[purpose] }
  for (const [name, template] of Object.entries(source.dialect.send?.headers?.[purpose] ?? {})) {
    const value = fill(template, source)
    if (value !== undefined) headers[name] = value
  }
  return headers
}

/** `[base]` at this vendor, without a trailing slash. */
export const baseOf = (source: Source): string => {
  const base = fill(source.dialect.send?.base ?? '{fhirBase}', source)
  if (base === undefined) throw new ExportError('config_invalid', `SOURCE ${source.id}: an option of its base URL is not set`)
  return base
}

/** Who may be told the token, and which other origins may be read without it [N-26]. */
export const trustPolicyOf = (source: Source, sandbox: boolean): TrustPolicy => ({
  sandbox,
  credentialOrigins: new Set([baseOf(source), ...(source.dialect.trust?.origins ?? [])].map((url) => new URL(url).origin)),
  openOrigins: source.dialect.trust?.fileOrigins ?? [],
  responseMs: (source.dialect.limits?.responseSeconds ?? DEFAULT_LIMITS.responseSeconds) * 1000,
})

/** Parameter → values, in the order of the specification. `_outputFormat` is the dialect's business, not the client's. */
const valuesOf = (params: KickoffParams): [KickoffParameter, readonly string[]][] => {
  const entries: [KickoffParameter, readonly string[]][] = [
    ['_since', params.since === undefined ? [] : [params.since]],
    ['_until', params.until === undefined ? [] : [params.until]],
    ['_type', params.type],
    ['_elements', params.elements],
    ['patient', params.patient],
    ['includeAssociatedData', params.includeAssociatedData],
    ['_typeFilter', params.typeFilter],
    ['organizeOutputBy', params.organizeOutputBy === undefined ? [] : [params.organizeOutputBy]],
  ]
  return entries.filter(([, values]) => values.length > 0)
}

// Instants stay readable; the commas between values are literal, since some servers split before they decode.
const encode = (value: string): string => encodeURIComponent(value).replaceAll('%3A', ':')

/**
 * Query of a GET kick-off. Values join with commas, since every server understands that and repeats are dropped by some;
 * but a `_typeFilter` may hold commas of its own, so filters repeat unless the dialect says `comma` [N-04].
 */
const queryOf = (source: Source, params: KickoffParams): string => {
  const { join, rename, outputFormat } = source.dialect.send ?? {}
  const parts: string[] = outputFormat === undefined ? [] : [`_outputFormat=${encodeURIComponent(outputFormat)}`]
  for (const [name, values] of valuesOf(params)) {
    const key = rename?.[name] ?? name
    const repeats = join === 'repeat' || (join === undefined && name === '_typeFilter')
    if (repeats)
      parts.push(...values.map((value) => `${key}=${name === '_typeFilter' ? encodeURIComponent(value) : encode(value)}`))
    else if (name === '_typeFilter') parts.push(`${key}=${values.map((value) => encodeURIComponent(value)).join(',')}`)
    else parts.push(`${key}=${values.map(encode).join(',')}`)
  }
  return parts.length === 0 ? '' : `?${parts.join('&')}`
}

/**
 * `Parameters` of a POST kick-off: one entry per value, which every version of the specification allows, or one for all of them where the
 * vendor wants commas.
 */
const parametersOf = (source: Source, params: KickoffParams): string => {
  const { join, rename, outputFormat } = source.dialect.send ?? {}
  const parameter: object[] = outputFormat === undefined ? [] : [{ name: '_outputFormat', valueString: outputFormat }]
  for (const [name, values] of valuesOf(params)) {
    for (const value of join === 'comma' && name !== 'patient' ? [values.join(',')] : values) {
      const typed =
        name === 'patient'
          ? { valueReference: { reference: value } }
          : name === '_since' || name === '_until'
            ? { valueInstant: value }
            : name === 'includeAssociatedData'
              ? { valueCode: value }
              : { valueString: value }
      parameter.push({ name: rename?.[name] ?? name, ...typed })
    }
  }
  // FHIR knows no empty arrays.
  return JSON.stringify({ resourceType: 'Parameters', ...(parameter.length > 0 ? { parameter } : {}) })
}

/**
 * The kick-off request in the vendor's dialect.
 *
 * @throws ExportError before anything is sent: `level_unsupported` when the vendor has no such operation, `parameter_invalid` when it
 *   cannot be told these parameters.
 * @see Bulk Data Kick-off Request, KO-01; [N-04], [N-07]
 */
export const kickoffRequest = (source: Source, kickoff: VendorKickoff): TrustedRequest => {
  try {
    return build(source, kickoff)
  } catch (cause) {
    // What cannot even be built was not sent, and must not be taken for a request that was.
    if (cause instanceof ExportError) throw cause
    throw new ExportError('parameter_invalid', 'The parameters cannot be sent to this source as they are.', { cause })
  }
}

const build = (source: Source, kickoff: VendorKickoff): TrustedRequest => {
  const method = source.dialect.supports.levels[kickoff.level]
  const path = fill(source.dialect.send?.paths?.[kickoff.level] ?? PATHS[kickoff.level], source, kickoff.groupId)
  // Such an id would climb out of the group's path.
  if (kickoff.groupId !== undefined && /^\.{1,2}$/.test(kickoff.groupId)) {
    throw new ExportError('group_not_found', 'This source has no such group for this client.')
  }
  if (method === undefined || path === undefined) {
    throw new ExportError(
      'level_unsupported',
      `This source has no ${kickoff.level}-level export; its /metadata lists what it has.`,
    )
  }
  const url = baseOf(source) + path
  const headers = headersFor(source, 'kickoff')
  if (method === 'GET') {
    const query = queryOf(source, kickoff.params)
    if (url.length + query.length > MAX_URL_LENGTH) {
      throw new ExportError(
        'parameter_invalid',
        'The parameters are too long for this source, which takes them in a URL. Ask for less in one export.',
      )
    }
    return { method, url: url + query, headers }
  }
  return {
    method,
    url,
    headers: { ...headers, 'Content-Type': FHIR_JSON },
    body: parametersOf(source, kickoff.params),
    maxRedirects: 0,
  }
}
