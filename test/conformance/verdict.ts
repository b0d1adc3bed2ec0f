import { shown, type Exchange } from './exchange.ts'
import { REQUIREMENTS, type Requirement } from './requirements.ts'

export type Verdict = 'pass' | 'fail' | 'warning' | 'not applicable'

export interface Result extends Pick<Requirement, 'id' | 'strength' | 'title'> {
  readonly verdict: Verdict
  /** What is wrong, why it does not apply, or what a pass was about. */
  readonly because: string
  /** The exchange that shows it, without secrets. */
  readonly exchange?: string
}

/** Something that a check rests on was not to be had. The rest of the check does not apply. */
export class NotHad extends Error {}

interface Finding {
  readonly id: string
  readonly verdict: Verdict
  readonly because: string
  readonly exchange?: Exchange
}

/** What the checks have found. */
export class Findings {
  readonly #found: Finding[] = []

  /** A rule that must hold. @param wrong What is said when it does not. */
  shall(id: string, holds: boolean, wrong: string, exchange?: Exchange, because = ''): void {
    this.#add(id, holds ? 'pass' : 'fail', holds ? because : wrong, exchange)
  }

  /** A rule that ought to hold. */
  should(id: string, holds: boolean, wrong: string, exchange?: Exchange, because = ''): void {
    this.#add(id, holds ? 'pass' : 'warning', holds ? because : wrong, exchange)
  }

  skip(id: string, because: string): void {
    this.#add(id, 'not applicable', because)
  }

  has(id: string): boolean {
    return this.#found.some((finding) => finding.id === id)
  }

  #add(id: string, verdict: Verdict, because: string, exchange?: Exchange): void {
    this.#found.push({ id, verdict, because, ...(exchange === undefined ? {} : { exchange }) })
  }

  /** One verdict for each requirement: the worst that was found. */
  results(): readonly Result[] {
    return REQUIREMENTS.map(({ id, strength, title, unseen }) => {
      const of = (verdict: Verdict): Finding[] =>
        this.#found.filter((finding) => finding.id === id && finding.verdict === verdict)
      const verdict = (['fail', 'warning', 'pass', 'not applicable'] as const).find((each) => of(each).length > 0)
      const found = verdict === undefined ? [] : of(verdict)
      const because = [...new Set(found.map((finding) => finding.because).filter((text) => text !== ''))].join('; ')
      const exchange = verdict === 'pass' ? undefined : found.find((finding) => finding.exchange)?.exchange
      return {
        id,
        strength,
        title,
        verdict: verdict ?? 'not applicable',
        because: because === '' && (verdict ?? 'not applicable') === 'not applicable' ? (unseen ?? NOTHING_SHOWED_IT) : because,
        ...(exchange === undefined ? {} : { exchange: shown(exchange) }),
      }
    })
  }
}

const NOTHING_SHOWED_IT = 'nothing in this run showed it'
