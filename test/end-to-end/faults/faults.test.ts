import { describe, expect, it } from 'vitest'
import { SOURCES } from '../support.ts'
import { usePlayedRows } from './check.ts'
import { outcomeAt, type Row } from './row.ts'
import { TABLE } from './table.ts'
import { promiseOf } from './words.ts'

const ROWS: readonly Row[] = Object.values(TABLE).flat()
const NAMED = ROWS.map((row) => [`${row.phase}: ${row.vendor}`, row] as const)
/** A row may have to wait for those before it. */
const TIMEOUT_MS = 180_000

const appliesTo = (row: Row) => SOURCES.filter((id) => row.skipped?.[id] === undefined)
const promised = (row: Row) => appliesTo(row).map((id) => [id, promiseOf(outcomeAt(row, id))] as const)

// What each row promises stands in `docs/reliability.md` too.
describe('when a vendor misbehaves', () => {
  const played = usePlayedRows(ROWS)

  describe.each(NAMED)('%s', (_name, row) => {
    it.each(promised(row))(
      '%s: %s, and the next export is whole [N-05, N-06, N-11, N-31]',
      async (id) => {
        expect((await played(row, id)).join('\n')).toBe('')
      },
      TIMEOUT_MS,
    )
  })
})
