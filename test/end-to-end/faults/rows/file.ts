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
  WRONG_TYPE,
  type NamedKind,
} from '../kinds.ts'
import { row, type BySource, type Outcome, type Row } from '../row.ts'

const times =
  (count: number, rest: Parameters<typeof row>[3] = {}) =>
  ({ words, kind }: NamedKind): Row =>
    row('file', count === 1 ? words : `${words}, twice`, [{ ...kind, on: 'file', times: count }], rest)

/** All files but one are read at once; that one never is. */
const oneForEver =
  (says: string, rest: Parameters<typeof row>[3] = {}) =>
  ({ words, kind }: NamedKind): Row =>
    row('file', `${words}, for one file for ever`, (files): Fault[] => [{ ...kind, on: 'file', after: files - 1 }], {
      outcome: { kind: 'partial', says },
      ...rest,
    })

const NOTHING_HAD: Outcome = { kind: 'failed', status: 500, issue: 'processing', says: 'none of its files could be read' }
const NO_URLS_THAT_EXPIRE: BySource<string> = {
  generic: 'its URLs do not expire',
  redox: 'its URLs do not expire',
  'vendor-x': 'its URLs do not expire',
}
const UNCOUNTED_EMPTY: BySource<Outcome> = {
  'oracle-health': { kind: 'emptied' },
  redox: { kind: 'emptied' },
  medplum: { kind: 'emptied' },
  'vendor-x': { kind: 'emptied' },
}
const CUT_OFF = 'the source broke it off each time'
const MALFORMED = 'is not NDJSON of its type'
const UNAVAILABLE = 'the source did not give it'
const MISSING = 'the source listed it and does not have it'

export const FILE_ROWS: readonly Row[] = [
  ...[...waits(429), ...waits(503).slice(0, 1)].map(times(1, { lastsMs: WAIT_SECONDS * 1000 })),
  ...[...answers(403, 404, 410, 429, 500, 502, 503, 504), ...RESETS, LOGIN_PAGE, EMPTY, WRONG_TYPE].map(times(2)),
  ...STALLS.map(times(1, { limits: { responseSeconds: 2, blockSeconds: 1 } })),
  ...[...TRUNCATIONS, ...BROKEN_GZIP].map(times(2)),
  ...[SOUND_GZIP, UNLABELLED_GZIP].map(times(2)),
  row('file', 'the token dies within the body', [{ on: 'file', kind: 'token-dies', bytes: 60, times: 1 }], {
    skipped: { medplum: 'its files are read without a token' },
  }),
  row(
    'file',
    'URLs that live two seconds, and a file that stalls for longer',
    [
      { on: 'file', kind: 'url-lifetime', seconds: 2 },
      { on: 'file', kind: 'stall', at: 'mid-body', bytes: 60, times: 1 },
    ],
    { skipped: NO_URLS_THAT_EXPIRE, limits: { blockSeconds: 3 } },
  ),
  ...answers(404).map(oneForEver(MISSING)),
  ...answers(403).map(oneForEver(UNAVAILABLE)),
  ...answers(500).map(oneForEver(UNAVAILABLE)),
  ...RESETS.slice(0, 1).map(oneForEver(UNAVAILABLE)),
  ...RESETS.slice(2).map(oneForEver(CUT_OFF)),
  ...TRUNCATIONS.map(oneForEver(CUT_OFF)),
  ...BROKEN_GZIP.map(oneForEver(CUT_OFF)),
  ...[LOGIN_PAGE, WRONG_TYPE].map(oneForEver(MALFORMED)),
  ...[EMPTY].map(oneForEver(CUT_OFF, { elsewhere: UNCOUNTED_EMPTY })),
  row('file', '404 for every file for ever', [{ on: 'file', kind: 'answer', status: 404 }], { outcome: NOTHING_HAD }),
  row('file', 'login page for every file for ever', [{ on: 'file', kind: 'login-page' }], { outcome: NOTHING_HAD }),
  row('file', '503 for every file for ever', [{ on: 'file', kind: 'answer', status: 503 }], {
    outcome: NOTHING_HAD,
    limits: { deadlineSeconds: 3 },
  }),
]
