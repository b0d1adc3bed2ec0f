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
import { row, type BySource, type Outcome, type Row } from '../row.ts'

const once = ({ words, kind }: NamedKind, rest: Parameters<typeof row>[3] = {}): Row =>
  row('status', words, [{ ...kind, on: 'status', times: 1 }], rest)
const twice = ({ words, kind }: NamedKind): Row => row('status', `${words}, twice`, [{ ...kind, on: 'status', times: 2 }])
const always = ({ words, kind }: NamedKind, outcome: Outcome, rest: Parameters<typeof row>[3] = {}): Row =>
  row('status', `${words}, for ever`, [{ ...kind, on: 'status' }], { outcome, cancels: true, ...rest })

const UNREACHABLE: Outcome = { kind: 'failed', status: 500, issue: 'timeout', says: 'could not be asked about this export' }
const UNREADABLE: Outcome = { kind: 'failed', status: 502, issue: 'processing', says: 'no readable status of this export' }
const LATE: Outcome = { kind: 'failed', status: 500, issue: 'timeout', says: 'did not finish this export within' }
const STALLED: Outcome = { kind: 'failed', status: 500, issue: 'timeout', says: 'made no progress with this export' }
const REFUSED: Outcome = { kind: 'failed', status: 502, issue: 'security', says: "refused Bulkhead's credential" }
/** Ends before a circuit would open, which is another promise. */
const SHORT_OF_TIME = { deadlineSeconds: 1.3 }
const NO_PERCENTAGE: BySource<string> = {
  'oracle-health': 'tells no percentage',
  medplum: 'tells no percentage',
  'vendor-x': 'tells no percentage',
}
/** Time to misbehave between the kick-off's answer and the first status request: a job that never ends takes its vendor's only slot. */
const LATE_START = { isLate: true, limits: { pollSeconds: 0.4 } }
const TINY_FILES = 40
const HUGE_BYTES = 6_000_000

export const STATUS_ROWS: readonly Row[] = [
  ...[...waits(429), ...waits(503).slice(0, 1)].map((kind) => once(kind, { lastsMs: WAIT_SECONDS * 1000 })),
  row(
    'status',
    '503, `Retry-After` as a date, by a clock five hours behind',
    [
      { on: 'status', kind: 'clock-skew', hours: -5 },
      { on: 'status', kind: 'answer', status: 503, retryAfter: { form: 'date', seconds: WAIT_SECONDS }, times: 1 },
    ],
    { lastsMs: WAIT_SECONDS * 1000 },
  ),
  ...[...answers(429, 500, 502, 503, 504), ...RESETS, LOGIN_PAGE, EMPTY].map(twice),
  ...STALLS.map((kind) => once(kind, { limits: { responseSeconds: 2 } })),
  ...[...TRUNCATIONS, ...BROKEN_GZIP, SOUND_GZIP, UNLABELLED_GZIP].map((kind) => once(kind)),
  ...answers(401, 404).map((kind) => once(kind)),
  // The sandbox's 500 is an OperationOutcome with `exception`: a failure of the request, and not of the export [ST-08].
  ...answers(500, 503).map((kind) => always(kind, UNREACHABLE, { limits: SHORT_OF_TIME })),
  ...RESETS.slice(0, 1).map((kind) => always(kind, UNREACHABLE, { limits: SHORT_OF_TIME })),
  ...[LOGIN_PAGE, EMPTY].map((kind) => always(kind, UNREADABLE)),
  ...answers(401).map((kind) => always(kind, REFUSED, { cancels: false })),
  row('status', 'not done yet, though it is', [{ on: 'status', kind: 'never-done', times: 1 }], LATE_START),
  row('status', 'never done', [{ on: 'status', kind: 'never-done' }], {
    outcome: LATE,
    cancels: true,
    isLate: true,
    limits: { ...LATE_START.limits, deadlineSeconds: 1 },
  }),
  row('status', 'never done, its percentage stands still', [{ on: 'status', kind: 'never-done' }], {
    outcome: STALLED,
    cancels: true,
    isLate: true,
    limits: { ...LATE_START.limits, stallSeconds: 1 },
    skipped: NO_PERCENTAGE,
  }),
  row('status', 'done before its files are there', [{ on: 'status', kind: 'done-early', ms: 200, times: 1 }]),
  row('status', 'running again, of a finished job whose files were refused', (files): Fault[] => [
    // More than all: the status may not be read again at once.
    { on: 'file', kind: 'answer', status: 410, times: files + 3 },
    { on: 'status', kind: 'back-to-running', times: 1 },
  ]),
  row('status', 'every file listed twice', [{ on: 'status', kind: 'duplicates' }]),
  row('status', `${TINY_FILES} tiny files`, [{ on: 'status', kind: 'many-files', files: TINY_FILES }], {
    outcome: { kind: 'complete', content: { kind: 'tiny', files: TINY_FILES } },
  }),
  ...[false, true].map((gzip) =>
    row(
      'status',
      gzip ? 'one large file, compressed' : 'one large file',
      [{ on: 'status', kind: 'huge-file', bytes: HUGE_BYTES, gzip }],
      { outcome: { kind: 'complete', content: { kind: 'huge', bytes: HUGE_BYTES } } },
    ),
  ),
  ...[5, -5].map((hours) =>
    row('status', `clock five hours ${hours > 0 ? 'ahead' : 'behind'}`, [{ on: 'status', kind: 'clock-skew', hours }]),
  ),
]
