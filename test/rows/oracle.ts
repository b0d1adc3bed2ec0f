import type { RowWork } from '../../src/rows/row-work.ts'
import { spells } from '../../src/rows/elements.ts'
import { mandatoryElementsOf } from '../../src/rows/root-elements.ts'
import { PATIENT_COMPARTMENT } from '../../src/rows/patient-compartment.ts'
import { BASE } from './support.ts'

type Json = { readonly [name: string]: unknown }

const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
const relative = (reference: string): string => (reference.startsWith(`${BASE}/`) ? reference.slice(BASE.length + 1) : reference)

const at = (value: unknown, [first, ...rest]: readonly string[]): readonly unknown[] => {
  if (first === undefined) return [value]
  if (!isJson(value)) return []
  const inner = value[first]
  return (Array.isArray(inner) ? inner : [inner]).flatMap((member) => at(member, rest))
}

const isWithin = (resource: Json, { sinceMs = -Infinity, untilMs = Infinity }: RowWork): boolean => {
  const [lastUpdated] = at(resource, ['meta', 'lastUpdated'])
  const ms = typeof lastUpdated === 'string' ? Date.parse(lastUpdated) : NaN
  return Number.isNaN(ms) || (ms > sinceMs && ms < untilMs)
}

const belongs = (type: string, resource: Json, patients: readonly string[]): boolean => {
  if (type === 'Patient') return patients.includes(String(resource['id']))
  const paths = PATIENT_COMPARTMENT.get(type)
  if (!paths) return true
  const references = paths.flatMap((path) => at(resource, [...path, 'reference'])).filter((value) => typeof value === 'string')
  return references.some((reference) =>
    patients.some((id) => relative(reference).replace(/\/_history\/.*/, '') === `Patient/${id}`),
  )
}

/** Wherever the target lies. */
const hasTarget = (resource: Json, types: readonly string[]): boolean =>
  at(resource, ['target', 'reference']).some((reference) => {
    const parts = String(reference)
      .replace(/\/_history\/.*/, '')
      .split('/')
    return types.includes(parts.at(-2) ?? '')
  })

const pruned = (type: string, resource: Json, elements: readonly string[]): Json => {
  const listed = elements
    .map((element) => element.split('.'))
    .flatMap(([first = '', second]) => (second === undefined ? [first] : first === type ? [second] : []))
  if (listed.length === 0) return resource
  const kept = ['resourceType', 'id', 'meta', 'implicitRules', 'modifierExtension', ...listed, ...mandatoryElementsOf(type)]
  const meta = isJson(resource['meta']) ? resource['meta'] : {}
  const tag = { system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'SUBSETTED' }
  const tags: readonly unknown[] = Array.isArray(meta['tag']) ? meta['tag'] : []
  const has = tags.some((one) => isJson(one) && one['code'] === tag.code && one['system'] === tag.system)
  const members = Object.entries(resource).filter(([name]) => kept.some((element) => spells(element, name.replace(/^_/, ''))))
  return { ...Object.fromEntries(members), meta: { ...meta, tag: has ? tags : [...tags, tag] } }
}

/** References at the vendor made relative, at any depth. */
const rewritten = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(rewritten)
  if (!isJson(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      name === 'reference' && typeof member === 'string' && /^[A-Z]/.test(relative(member))
        ? relative(member)
        : rewritten(member),
    ]),
  )
}

/** What a program should let out, by plain code over parsed rows. */
export const oracle = (rows: readonly string[], work: RowWork, fileType?: string): readonly unknown[] => {
  const resources = rows.map((row) => JSON.parse(row) as Json)
  const type = fileType ?? String(resources[0]?.['resourceType'])
  return resources
    .filter(({ resourceType }) => resourceType === type)
    .filter((resource) => isWithin(resource, work))
    .filter((resource) => !work.patients || belongs(type, resource, work.patients))
    .filter((resource) => !work.provenanceOf || type !== 'Provenance' || hasTarget(resource, work.provenanceOf))
    .map((resource) => rewritten(work.elements ? pruned(type, resource, work.elements) : resource))
}
