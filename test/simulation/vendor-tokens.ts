import { BROKEN, html, json, outcome, SILENT, spoken, waitOf, type Answer } from './answers.ts'
import type { Habit } from './plan.ts'
import type { World } from './world.ts'

const TOKEN_LIFE_SECONDS = 3_600
const SHORT_LIFE_SECONDS = 60

/** The vendor's token endpoint, and whether a token is good. */
export class VendorTokens {
  /** A token was refused or could not be had: whoever needed one may not even have sent its request. */
  hadTrouble = false
  readonly #world: World
  readonly #habit: Habit
  /** Token → when it runs out. */
  readonly #given = new Map<string, number>()
  #count = 0

  constructor(world: World, habit: Habit) {
    this.#world = world
    this.#habit = habit
  }

  /** @returns The refusal of a request without a good token. */
  refusal(headers: Headers): Answer | undefined {
    const untilMs = this.#given.get(headers.get('Authorization')?.replace('Bearer ', '') ?? '')
    if (untilMs !== undefined && untilMs > this.#world.now) return undefined
    return this.#trouble(outcome(401, 'login'))
  }

  /** From now on no token that was given is good any more. */
  revoke(): void {
    this.hadTrouble = true
    this.#given.clear()
  }

  answer(fault: number): Answer {
    if (this.#habit === 'refuses-tokens') return this.#trouble(json(400, { error: 'invalid_client' }))
    switch (fault % 8) {
      case 1:
        return this.#trouble(json(400, { error: 'invalid_client' }))
      case 2:
        return this.#trouble(spoken(503, waitOf(fault, this.#world.now).headers))
      case 3:
        return this.#trouble(BROKEN)
      case 4:
        return this.#trouble(SILENT)
      case 5:
        return this.#trouble(html())
      case 6:
        return this.#give(SHORT_LIFE_SECONDS)
      default:
        return this.#give(TOKEN_LIFE_SECONDS)
    }
  }

  #give(seconds: number): Answer {
    const token = `token-${(this.#count += 1)}`
    this.#given.set(token, this.#world.now + seconds * 1000)
    return json(200, { access_token: token, token_type: 'bearer', expires_in: seconds })
  }

  #trouble(answer: Answer): Answer {
    this.hadTrouble = true
    return answer
  }
}
