/** How far an export is. Numbers and words of ours only: a vendor's text may hold patient data. */
export interface Progress {
  /** 0..99: 100 is the manifest. */
  readonly percent?: number
  readonly phase?: Phase
}

/** Place in our own queue, 1 is next. */
export interface QueuePosition {
  readonly queuePosition: number
}

type Phase = 'queued' | 'running' | 'finishing'

const PHASES: readonly Phase[] = ['queued', 'running', 'finishing']
const MAX_PERCENT = 99

/** Words of vendors, matched against the whole value. */
const WORDS: Readonly<Record<Phase, RegExp>> = {
  queued: /^(queued|scheduled|pending|submitted|accepted|created|waiting|requested)$/,
  running: /^(in progress|running|started|active|processing|exporting|building|executing)$/,
  finishing: /^(complete|completed|done|finished|finali[sz]e|finali[sz]ing|success|succeeded)$/,
}

/**
 * Reads a vendor's progress: a percentage, `n of m`, or one of the words in use. `completed` and 100 % are only nearly done,
 * because the HTTP status decides.
 *
 * @param value `X-Progress`, or a member of the body; quotes around it do not matter.
 * @returns An empty object when absent or not understood.
 * @see Bulk Data Status Request, In-Progress Status [ST-02]
 */
export const parseProgress = (value: unknown): Progress => {
  if (typeof value === 'number') return fromPercent(value)
  if (typeof value !== 'string') return {}
  const text = value
    .slice(0, MAX_READ_CHARS)
    .replaceAll(/["'“”‘’]/g, '')
    .replaceAll(/[\s_-]+/g, ' ')
    .trim()
    .toLowerCase()
  const percent = /(\d+(?:\.\d+)?) ?%/.exec(text)?.[1] ?? /^\d+(?:\.\d+)?$/.exec(text)?.[0]
  if (percent !== undefined) return fromPercent(Number(percent))
  const [, part, whole] = /(\d+) (?:out )?of (\d+)/.exec(text) ?? []
  if (part !== undefined) return Number(whole) > 0 ? fromPercent((100 * Number(part)) / Number(whole)) : { phase: 'running' }
  const phase = PHASES.find((candidate) => WORDS[candidate].test(text))
  if (phase !== undefined) return { phase }
  return /\bin progress\b/.test(text) ? { phase: 'running' } : {}
}

const MAX_READ_CHARS = 200

const fromPercent = (percent: number): Progress =>
  percent >= 0 ? { percent: clamped(percent), phase: percent >= 100 ? 'finishing' : 'running' } : {}

const clamped = (percent: number): number => Math.min(MAX_PERCENT, Math.max(0, Math.floor(percent)))

/**
 * What to show after a further look: never less than before.
 *
 * @param previous `undefined` at the first look.
 * @see Bulk Data Status Request, In-Progress Status [ST-02]
 */
export const mergeProgress = (previous: Progress | undefined, next: Progress): Progress => {
  const percents = [previous?.percent, next.percent].filter((percent) => percent !== undefined && !Number.isNaN(percent))
  const phases = PHASES.filter((phase) => phase === previous?.phase || phase === next.phase)
  const phase = phases.at(-1)
  return {
    ...(percents.length > 0 ? { percent: clamped(Math.max(...percents.map(Number))) } : {}),
    ...(phase === undefined ? {} : { phase }),
  }
}

/**
 * Text of our `X-Progress`: fewer than 100 ASCII characters, none of them a vendor's.
 *
 * @param progress An empty one reads `in progress`.
 * @see Bulk Data Status Request, In-Progress Status [ST-02]
 */
export const formatProgress = (progress: Progress | QueuePosition): string => {
  if ('queuePosition' in progress) return `queued, position ${Math.max(1, Math.floor(progress.queuePosition) || 1)}`
  if (progress.percent !== undefined) return `${clamped(progress.percent)}% complete`
  return progress.phase === 'queued' || progress.phase === 'finishing' ? progress.phase : 'in progress'
}
