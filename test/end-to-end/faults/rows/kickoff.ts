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
import { row, type BySource, type Refusal, type Row } from '../row.ts'

const AMBIGUOUS: Refusal = { status: 502, issue: 'processing', says: 'It was not sent twice' }

const lost = ({ words, kind }: NamedKind, rest: Parameters<typeof row>[3] = {}): Row =>
  row('kickoff', words, [{ ...kind, on: 'kickoff', times: 1 }], {
    outcome: { kind: 'refused', ...AMBIGUOUS },
    hides: true,
    ...rest,
  })

const NO_BODY: BySource<string> = Object.fromEntries(
  (['generic', 'oracle-health', 'vendor-x'] as const).map((id) => [id, 'its 202 has no body']),
)
const SECOND_ANSWER = { kickoffs: 2, lastsMs: WAIT_SECONDS * 1000 }

export const KICKOFF_ROWS: readonly Row[] = [
  ...[...waits(429), ...waits(503).slice(0, 1)].map(({ words, kind }) =>
    row('kickoff', words, [{ ...kind, on: 'kickoff', times: 1 }], SECOND_ANSWER),
  ),
  ...answers(429, 503).map(({ words, kind }) =>
    row('kickoff', `${words} without \`Retry-After\`, three times`, [{ ...kind, on: 'kickoff', times: 3 }], { kickoffs: 4 }),
  ),
  row(
    'kickoff',
    '429, `Retry-After` as a date, by a clock five hours ahead',
    [
      { on: 'status', kind: 'clock-skew', hours: 5 },
      { on: 'kickoff', kind: 'answer', status: 429, retryAfter: { form: 'date', seconds: WAIT_SECONDS }, times: 1 },
    ],
    SECOND_ANSWER,
  ),
  row('kickoff', '500', [{ on: 'kickoff', kind: 'answer', status: 500 }], {
    outcome: { kind: 'refused', status: 502, issue: 'processing', says: 'failed while starting the export (HTTP 500)' },
  }),
  row('kickoff', '401', [{ on: 'kickoff', kind: 'answer', status: 401, times: 1 }], {
    outcome: { kind: 'refused', status: 502, issue: 'security', says: "refused Bulkhead's credential" },
  }),
  ...answers(502, 504).map((kind) => lost(kind)),
  ...RESETS.map((kind) => lost(kind)),
  ...STALLS.map((kind) => lost(kind, { limits: { responseSeconds: 2 } })),
  lost(LOGIN_PAGE),
  lost(EMPTY),
  ...[...TRUNCATIONS.slice(0, 1), ...BROKEN_GZIP].map((kind) => lost(kind, { skipped: NO_BODY })),
  // The header says all that counts.
  ...[...TRUNCATIONS.slice(1), SOUND_GZIP, UNLABELLED_GZIP].map(({ words, kind }) =>
    row('kickoff', words, [{ ...kind, on: 'kickoff', times: 1 }], { skipped: NO_BODY }),
  ),
  row(
    'kickoff',
    '429, and the next one is lost',
    [
      { on: 'kickoff', kind: 'answer', status: 429, times: 1 },
      { on: 'kickoff', kind: 'reset', at: 'before-header' },
    ],
    { outcome: { kind: 'failed', ...AMBIGUOUS }, kickoffs: 2, hides: true },
  ),
]
