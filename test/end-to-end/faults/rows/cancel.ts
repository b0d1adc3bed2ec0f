import { answers, EMPTY, LOGIN_PAGE, RESETS, STALLS, waits, type NamedKind } from '../kinds.ts'
import { DELETED, row, type Row } from '../row.ts'

const whileDeleted =
  (rest: Parameters<typeof row>[3] = {}) =>
  ({ words, kind }: NamedKind): Row =>
    row('cancel', words, [{ ...kind, on: 'cancel' }], { outcome: DELETED, ...rest })

export const CANCEL_ROWS: readonly Row[] = [
  ...[...waits(429).slice(0, 1), ...answers(404, 500, 503), ...RESETS, LOGIN_PAGE, EMPTY].map(whileDeleted()),
  ...STALLS.map(whileDeleted({ limits: { responseSeconds: 2 } })),
]
