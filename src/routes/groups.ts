import type { Context } from 'hono'
import { mayRead } from '../auth/scopes.ts'
import { configOf } from '../config.ts'
import { ExportError } from '../errors.ts'
import { vendorClientOf } from '../source/gate.ts'
import type { VendorResponse } from '../vendor/adapter.ts'
import { baseOf } from '../vendor/requests.ts'
import type { Source } from '../vendor/source.ts'
import { groupIdOf, groupNotFound, sourceOf, targetOf, type App } from './context.ts'

/** Search parameters of Group that are relayed; a vendor may ignore one, so the answer is filtered by nothing but rights. */
const SEARCHABLE = [
  '_id',
  '_lastUpdated',
  'actual',
  'characteristic',
  'code',
  'identifier',
  'managing-entity',
  'member',
  'name',
  'type',
]
/** Groups that one search may find; a longer list is narrowed by the client. */
const MAX_GROUPS = 1_000
const MAX_PAGES = 20

type Json = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Every string that begins with the vendor's base begins with ours instead: references, links, full URLs. */
const rebased = (value: unknown, from: string, to: string): unknown => {
  if (typeof value === 'string') return value === from || value.startsWith(`${from}/`) ? to + value.slice(from.length) : value
  if (Array.isArray(value)) return value.map((item) => rebased(item, from, to))
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, rebased(member, from, to)]))
}

/** A group as configured, for a vendor that tells its groups by other means. */
const configuredGroup = (id: string, name: string): Json => ({ resourceType: 'Group', id, type: 'person', actual: true, name })

const mayExport = (c: Context<App>, source: Source, id: string): boolean => {
  const groups = c.var.caller.client.access[source.id]?.groups ?? []
  return groups.includes('*') || groups.includes(id)
}

const readable = (c: Context<App>): void => {
  if (!mayRead(c.var.caller.scopes, 'Group')) {
    throw new ExportError('scope_insufficient', 'Reading groups needs the scope system/Group.rs.')
  }
}

/** The resource in an answer. @throws ExportError for every answer without one; none of the vendor's words are in it. */
const resourceIn = (response: VendorResponse, resourceType: string): Json => {
  if (response.status === 404 || response.status === 410) throw groupNotFound()
  if (response.status === 400 || response.status === 422) {
    throw new ExportError('vendor_rejected', 'The source refused this search. Use fewer or other search parameters.')
  }
  if (response.status === 401 || response.status === 403) {
    throw new ExportError(
      'vendor_refused_credential',
      'The source does not let Bulkhead read groups; its operator must allow it.',
    )
  }
  if (response.status === 429 || response.status >= 500) {
    throw new ExportError('vendor_unreachable', 'The source could not answer now. Try again later.', { retryAfterSeconds: 30 })
  }
  const { body } = response
  if (!isObject(body) || body.resourceType !== resourceType) {
    throw new ExportError('vendor_answer_invalid', `The source did not answer with a ${resourceType}.`)
  }
  return body
}

const fhirJson = (c: Context<App>, body: unknown): Response => c.json(body, 200, { 'Content-Type': 'application/fhir+json' })

/** One group [KO-18]. */
export const readGroup = async (c: Context<App>): Promise<Response> => {
  const source = await sourceOf(c)
  readable(c)
  const id = groupIdOf(c)
  if (!mayExport(c, source, id)) throw groupNotFound()
  const configured = Object.hasOwn(source.groups, id) ? source.groups[id] : undefined
  if (configured !== undefined) return fhirJson(c, configuredGroup(id, configured))
  if (source.dialect.supports.groups === 'none') throw groupNotFound()
  const base = baseOf(source)
  const group = resourceIn(await vendorClientOf(c.env, source).read(`${base}/Group/${encodeURIComponent(id)}`), 'Group')
  return fhirJson(c, rebased(group, base, ourBase(c, source)))
}

const ourBase = (c: Context<App>, source: Source): string => `${configOf(c.env).settings.publicBase}/fhir/${source.id}`

/** Groups of a vendor, its pages followed: a page's URL is the vendor's and cannot be handed out. */
const vendorGroups = async (c: Context<App>, source: Source, query: string): Promise<Json[]> => {
  const client = vendorClientOf(c.env, source)
  const groups: Json[] = []
  let url: string | undefined = `${baseOf(source)}/Group${query}`
  for (let page = 0; url !== undefined; page++) {
    if (groups.length > MAX_GROUPS || page >= MAX_PAGES) {
      throw new ExportError(
        'too_costly',
        `This search finds more than ${MAX_GROUPS} groups. Narrow it, for instance with name or identifier.`,
      )
    }
    const bundle = resourceIn(await client.read(url), 'Bundle')
    const entries = Array.isArray(bundle.entry) ? (bundle.entry as unknown[]) : []
    groups.push(
      ...entries.flatMap((entry) =>
        isObject(entry) && isObject(entry.resource) && entry.resource.resourceType === 'Group' ? [entry.resource] : [],
      ),
    )
    const next = (Array.isArray(bundle.link) ? (bundle.link as unknown[]) : []).find(
      (link) => isObject(link) && link.relation === 'next',
    )
    url = isObject(next) && typeof next.url === 'string' && URL.canParse(next.url, url) ? new URL(next.url, url).href : undefined
  }
  return groups
}

/** The groups that the caller may export [KO-18]. */
export const searchGroups = async (c: Context<App>): Promise<Response> => {
  const source = await sourceOf(c)
  readable(c)
  const asked = new URLSearchParams(targetOf(c).search)
  for (const name of asked.keys()) {
    // A chain or another type's modifier would search resources that a right to groups does not cover.
    const [, plain = ''] = /^([\w-]+)(?::(?:exact|contains|missing|not|identifier))?$/.exec(name) ?? []
    if (!SEARCHABLE.includes(plain) && plain !== '_format') {
      throw new ExportError(
        'parameter_unknown',
        `Group cannot be searched by this parameter here. Possible are ${SEARCHABLE.join(', ')}.`,
        {
          parameter: name.slice(0, 80),
        },
      )
    }
  }
  asked.delete('_format')
  const ours = ourBase(c, source)
  const query = asked.size > 0 ? `?${asked.toString()}` : ''
  const { groups: access } = source.dialect.supports
  const found =
    access === 'search'
      ? await vendorGroups(c, source, query)
      : Object.entries(source.groups)
          .map(([id, name]) => configuredGroup(id, name))
          .filter((group) => matches(group, asked))
  const base = baseOf(source)
  const entry = found
    .filter((group) => typeof group.id === 'string' && mayExport(c, source, group.id))
    .map((group) => ({
      fullUrl: `${ours}/Group/${String(group.id)}`,
      resource: rebased(group, base, ours),
      search: { mode: 'match' },
    }))
  const link = [{ relation: 'self', url: `${ours}/Group${query}` }]
  return fhirJson(c, {
    resourceType: 'Bundle',
    type: 'searchset',
    total: entry.length,
    link,
    ...(entry.length > 0 ? { entry } : {}),
  })
}

/** Search over configured groups, which have an id and a name. */
const matches = (group: Json, asked: URLSearchParams): boolean =>
  [...asked].every(([name, value]) => {
    if (name === '_id') return value.split(',').includes(String(group.id))
    if (name === 'name') return String(group.name).toLowerCase().startsWith(value.toLowerCase())
    return name === 'actual' ? value === 'true' : name === 'type' && value === 'person'
  })
