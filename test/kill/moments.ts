import type { Random } from '../../sandbox/random.ts'
import type { Signal } from './signals.ts'

/** What becomes of an export at its client's hands. */
export type Fate = 'download' | 'delete-running' | 'delete-collecting' | 'delete-complete'

export const PHASES = ['kick-off', 'polling', 'mid-file', 'completing', 'deleting', 'download'] as const
export type Phase = (typeof PHASES)[number]

/** When to kill: so long after the nth signal that fits. */
export interface Moment {
  readonly phase: Phase
  readonly name: string
  readonly fate: Fate
  readonly fits: (signal: Signal) => boolean
  readonly nth: number
  /** 0: in the very moment of the signal. */
  readonly delayMs: number
}

type Kind = Omit<Moment, 'phase' | 'nth' | 'delayMs' | 'fate'> & {
  readonly fates?: readonly Fate[]
  /** The signal is one of the first so many. */
  readonly upToNth?: number | 'last-file'
  /** The delay is below this. */
  readonly upToMs: number
}

type Asked = Extract<Signal, { at: 'vendor-asked' }>['kind']

const asked =
  (kind: Asked) =>
  (signal: Signal): boolean =>
    signal.at === 'vendor-asked' && signal.kind === kind
const answered =
  (kind: Asked) =>
  (signal: Signal): boolean =>
    signal.at === 'vendor-answered' && signal.kind === kind && signal.status < 300
const client =
  (step: Extract<Signal, { at: 'client' }>['step']) =>
  (signal: Signal): boolean =>
    signal.at === 'client' && signal.step === step

const DELETIONS = ['delete-running', 'delete-collecting', 'delete-complete'] as const

/** In turn, so that each phase sees each of its moments. */
const KINDS: Readonly<Record<Phase, readonly Kind[]>> = {
  'kick-off': [
    { name: 'at the vendor, unanswered', fits: asked('kickoff'), upToMs: 1 },
    { name: 'answered by the vendor', fits: answered('kickoff'), upToMs: 8 },
    { name: 'sent by the client', fits: client('kickoff'), upToMs: 30 },
  ],
  polling: [
    { name: 'status at the vendor', fits: asked('status'), upToMs: 1 },
    { name: 'status answered', fits: answered('status'), upToMs: 10 },
    { name: 'between two', fits: answered('status'), upToMs: 300 },
  ],
  'mid-file': [{ name: 'files under way', fits: asked('file'), upToNth: 8, upToMs: 25 }],
  completing: [{ name: 'last file read', fits: answered('file'), upToNth: 'last-file', upToMs: 30 }],
  deleting: [
    { name: 'vendor asked to cancel', fates: DELETIONS, fits: asked('cancel'), upToMs: 1 },
    { name: 'sent by the client', fates: DELETIONS, fits: client('delete'), upToMs: 20 },
  ],
  download: [{ name: 'client has some bytes', fits: client('file-bytes'), upToNth: 4, upToMs: 2 }],
}

/**
 * Moments of all phases in a random order, each phase as often as the others.
 *
 * @param files Files that an export has at the least, so that the last of them can be told.
 */
export const drawMoments = (count: number, random: Random, files: number): Moment[] => {
  const drawn = Array.from({ length: count }, (_, index): Moment => {
    const phase = PHASES[index % PHASES.length] ?? 'polling'
    const round = Math.floor(index / PHASES.length)
    const kinds = KINDS[phase]
    const kind = kinds[round % kinds.length]
    if (kind === undefined) throw new Error(`no moments of ${phase}`)
    const { name, fits, fates = ['download'], upToNth = 1, upToMs } = kind
    return {
      phase,
      name,
      fate: random.pick(fates),
      fits,
      nth: upToNth === 'last-file' ? files : 1 + random.below(upToNth),
      delayMs: random.below(upToMs),
    }
  })
  // Fisher and Yates.
  for (let last = drawn.length - 1; last > 0; last--) {
    const other = random.below(last + 1)
    const [a, b] = [drawn[last], drawn[other]]
    if (a && b) [drawn[last], drawn[other]] = [b, a]
  }
  return drawn
}
