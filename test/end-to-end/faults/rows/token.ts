import type { Fault } from '../../../../sandbox/faults.ts'
import {
  answers,
  BROKEN_GZIP,
  EMPTY,
  LOGIN_PAGE,
  RESETS,
  SOUND_GZIP,
  STALLS,
  TRUNCATIONS,
  UNLABELLED_GZIP,
  WAIT_SECONDS,
  waits,
  type NamedKind,
} from '../kinds.ts'
import { row, type Row } from '../row.ts'

/** Makes a running export need a new token: the vendor refuses the old one until it has been renewed. */
const refusedToken = (times: number): Fault => ({ on: 'status', kind: 'answer', status: 401, times })

/** While an export runs, its token has to be renewed, and that fails twice. */
const renewal = ({ words, kind }: NamedKind, rest: Parameters<typeof row>[3] = {}, times = 2): Row =>
  row(
    'token',
    `renewal: ${words}${times === 1 ? '' : ', twice'}`,
    [refusedToken(times + 1), { ...kind, on: 'token', after: 1, times }],
    rest,
  )

const SHORT_OF_TIME = { deadlineSeconds: 1.3 }

export const TOKEN_ROWS: readonly Row[] = [
  ...[...waits(429), ...waits(503).slice(0, 1)].map(({ words, kind }) =>
    row('token', `${words}, before the kick-off`, [{ ...kind, on: 'token', times: 1 }], { lastsMs: WAIT_SECONDS * 1000 }),
  ),
  ...[...answers(500), ...RESETS.slice(0, 1), LOGIN_PAGE, EMPTY].map(({ words, kind }) =>
    row('token', `${words}, twice, before the kick-off`, [{ ...kind, on: 'token', times: 2 }]),
  ),
  row('token', '400 once, before the kick-off', [{ on: 'token', kind: 'answer', status: 400, times: 1 }]),
  row('token', '401 for ever, before the kick-off', [{ on: 'token', kind: 'answer', status: 401 }], {
    outcome: { kind: 'refused', status: 502, issue: 'security', says: "refused Bulkhead's credential" },
    kickoffs: 0,
  }),
  ...[...answers(500, 503), ...RESETS, LOGIN_PAGE, EMPTY, ...BROKEN_GZIP].map((kind) => renewal(kind)),
  ...[...STALLS].map((kind) => renewal(kind, { limits: { responseSeconds: 2 } }, 1)),
  ...[...TRUNCATIONS, UNLABELLED_GZIP].map((kind) => renewal(kind, {}, 1)),
  row('token', `renewal: ${SOUND_GZIP.words}`, [refusedToken(1), { ...SOUND_GZIP.kind, on: 'token', after: 1, times: 1 }]),
  row(
    'token',
    'renewal: 503 for ever',
    [
      { on: 'status', kind: 'answer', status: 401 },
      { on: 'token', kind: 'answer', status: 503, after: 1 },
    ],
    {
      outcome: { kind: 'failed', status: 500, issue: 'timeout', says: 'could not be asked about this export' },
      limits: SHORT_OF_TIME,
    },
  ),
]
