import { GROUP_NAME, type Dataset } from './dataset.ts'
import { fhirResponse, outcomeResponse } from './outcome.ts'

/** A group that a fake vendor knows. */
export interface SandboxGroup {
  readonly id: string
  readonly name: string
  /** `all`: every patient of the dataset. */
  readonly members: 'all' | readonly { readonly patientId: string; readonly inactive?: boolean }[]
}

export const GROUP_SYSTEM = 'urn:example:sandbox:group'

/** A group with more members than this is read without them, with only its quantity (assumed; keeps the answer small). */
const MAX_LISTED_MEMBERS = 1000

export const allPatientsGroup = (id: string): SandboxGroup => ({ id, name: GROUP_NAME, members: 'all' })

const memberIds = async (group: SandboxGroup, dataset: Dataset): Promise<{ patientId: string; inactive?: boolean }[]> => {
  if (group.members !== 'all') return [...group.members]
  const all: { patientId: string }[] = []
  for await (const patientId of dataset.patientIds()) all.push({ patientId })
  return all
}

const entity = ({ patientId, inactive }: { patientId: string; inactive?: boolean }) => ({
  entity: { reference: `Patient/${patientId}` },
  ...(inactive === undefined ? {} : { inactive }),
})

export const groupResource = async (group: SandboxGroup, dataset: Dataset, maxListed = MAX_LISTED_MEMBERS) => {
  const quantity = group.members === 'all' ? dataset.patients : group.members.length
  const listed = quantity > 0 && quantity <= maxListed ? { member: (await memberIds(group, dataset)).map(entity) } : {}
  return {
    resourceType: 'Group',
    id: group.id,
    meta: { versionId: '1', lastUpdated: '2025-07-01T00:00:00.000Z' },
    identifier: [{ system: GROUP_SYSTEM, value: group.id }],
    active: true,
    type: 'person',
    actual: true,
    name: group.name,
    quantity,
    ...listed,
  }
}

const matches = (group: SandboxGroup, query: URLSearchParams): boolean =>
  [...query].every(([name, value]) => {
    switch (name) {
      case '_id':
        return value.split(',').includes(group.id)
      case 'identifier':
        return value.split(',').some((token) => token === group.id || token === `${GROUP_SYSTEM}|${group.id}`)
      case 'name':
        return group.name.toLowerCase().startsWith(value.toLowerCase())
      case 'name:contains':
        return group.name.toLowerCase().includes(value.toLowerCase())
      case 'name:exact':
        return group.name === value
      default:
        return true
    }
  })

/** `GET Group/{id}`. */
export const readGroup = async (groups: readonly SandboxGroup[], id: string, dataset: Dataset): Promise<Response> => {
  const group = groups.find((candidate) => candidate.id === id)
  return group === undefined
    ? outcomeResponse(404, 'not-found', `Group/${id} is not known`)
    : fhirResponse(200, await groupResource(group, dataset))
}

/** `GET Group?…` by `_id`, `identifier` and `name`; other parameters change nothing. */
export const searchGroups = async (
  groups: readonly SandboxGroup[],
  fhirBase: string,
  query: URLSearchParams,
  dataset: Dataset,
): Promise<Response> => {
  const found = groups.filter((group) => matches(group, query))
  const entry = await Promise.all(
    found.map(async (group) => ({
      fullUrl: `${fhirBase}/Group/${group.id}`,
      resource: await groupResource(group, dataset),
      search: { mode: 'match' },
    })),
  )
  const self = `${fhirBase}/Group${query.size === 0 ? '' : `?${query.toString()}`}`
  return fhirResponse(200, {
    resourceType: 'Bundle',
    type: 'searchset',
    total: entry.length,
    link: [{ relation: 'self', url: self }],
    ...(entry.length === 0 ? {} : { entry }),
  })
}
