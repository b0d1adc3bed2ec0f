import { adapters } from '../../../adapters/index.ts'
import { handlingOf } from '../../../src/vendor/handling.ts'
import type { Source } from '../../../src/vendor/source.ts'
import type { Handlings } from '../../conformance/document.ts'
import { SOURCES, type SourceId } from '../../conformance/source-ids.ts'
import type { Sources } from './sources.ts'

/** What each source does with each parameter of a group export, as it is configured here. */
export const handlingsOf = ({ sandbox }: Pick<Sources, 'sandbox'>): Handlings =>
  new Map(
    SOURCES.map((id) => {
      const dialect = adapters.get(id)
      const config = sandbox.sources[id]
      if (dialect === undefined || config === undefined) throw new Error(`no source ${id}`)
      const { title, fhirBase, types } = config
      const source: Source = {
        id,
        title,
        dialect,
        fhirBase,
        types,
        credential: { kind: 'bearer', secret: '' },
        retention: 'r2',
        groups: {},
        options: {},
        gate: id,
        deleteAfterCollecting: false,
      }
      return [id, handlingOf(source, 'group')] as const satisfies readonly [SourceId, object]
    }),
  )
