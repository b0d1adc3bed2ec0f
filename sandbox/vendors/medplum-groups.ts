import { EMPTY_GROUP_UUID, GROUP_UUID, type Dataset } from '../dataset.ts'
import { allPatientsGroup, groupResource, type SandboxGroup } from '../groups.ts'
import { ids } from '../resources.ts'

/** A group with an inactive member and one that was deleted. */
export const MIXED_GROUP_UUID = 'c2a9d0f4-58be-4b7e-8a1b-3f7d7d0c9b21'

export const exportedGroup: SandboxGroup = allPatientsGroup(GROUP_UUID)

const emptyGroup: SandboxGroup = { id: EMPTY_GROUP_UUID, name: 'Nobody', members: [] }

const mixedGroup: SandboxGroup = {
  id: MIXED_GROUP_UUID,
  name: 'One inactive, one deleted',
  members: [{ patientId: ids.patient(0), inactive: true }, { patientId: 'deleted-patient' }],
}

/** Its groups. Empty data has no group of everyone, for a Group without members never ends (`docs/vendors.md`, Medplum 3). */
export const MEDPLUM_GROUPS = (dataset: Dataset): readonly SandboxGroup[] =>
  dataset.patients === 0 ? [emptyGroup, mixedGroup] : [exportedGroup, emptyGroup, mixedGroup]

/** What a Group export gives: the data and the Group itself (`docs/vendors.md`, Medplum 7). */
export const withGroup = (dataset: Dataset, group: SandboxGroup): Dataset => ({
  ...dataset,
  types: [...dataset.types.filter((type) => type !== 'Group'), 'Group'],
  files: async (type, perFile) =>
    type === 'Group'
      ? [
          {
            type,
            index: 0,
            resources: 1,
            version: `Group-${group.id}-${dataset.patients}`,
            // The one line that grows with the data, as it does at the vendor.
            open: async function* () {
              yield Buffer.from(`${JSON.stringify(await groupResource(group, dataset, Infinity))}\n`)
            },
          },
        ]
      : dataset.files(type, perFile),
})
