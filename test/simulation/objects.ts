import { returnDatabase, takeDatabase, type Database } from './database.ts'
import { storageOf, type Kept } from './storage.ts'
import { SimulatedStream, streamOfChunks } from './streams.ts'
import type { Owner, World } from './world.ts'

type Method = (...parameters: unknown[]) => unknown
type Instance = Readonly<Record<string, Method | undefined>>
export type ObjectClass = new (state: unknown, env: unknown) => object

export interface ObjectParts {
  readonly class: ObjectClass
  readonly env: unknown
  /** Told of each call that came back, as it comes back. */
  returned(method: string, given: readonly unknown[], value: unknown): void
}

/** A handler that throws is called again this often, then never. */
const ALARM_RETRIES = 6
const FIRST_ALARM_RETRY_MS = 2_000

/** What arrives at the other side of a call. What can be written down arrives as it is, and nobody changes it; streams are read first. */
const arrived = async (value: unknown): Promise<unknown> => {
  if (typeof value !== 'object' || value === null) return value
  for (const [key, member] of Object.entries(value)) {
    if (member instanceof SimulatedStream) {
      const chunks: Uint8Array<ArrayBuffer>[] = []
      for await (const chunk of member) chunks.push(chunk.slice())
      return { ...value, [key]: streamOfChunks(chunks) }
    }
  }
  return value
}

interface Call {
  readonly caller: Owner
  readonly label: string
  reject(reason: unknown): void
}

/** One life of an object, from its first call to a crash. */
interface Life extends Owner {
  instance: Instance
  readonly calls: Set<Call>
  readonly isRinging: { since: number | undefined; again: number }
}

/** One Durable Object: what it keeps, and the life that it has now, if any. */
export class SimulatedObject implements Kept {
  readonly kind: string
  readonly name: string
  readonly database: Database
  alarmMs: number | null = null
  readonly #world: World
  readonly #parts: ObjectParts
  #life: Life | undefined
  #failures = 0

  constructor(world: World, kind: string, name: string, parts: ObjectParts) {
    this.#world = world
    this.kind = kind
    this.name = name
    this.#parts = parts
    this.database = takeDatabase(kind)
  }

  get lives(): boolean {
    return this.#life !== undefined
  }

  /** When its alarm rings, were it alone in the world; one that is being answered does not ring again meanwhile. */
  get dueMs(): number {
    return this.#life?.isRinging.since === undefined ? (this.alarmMs ?? Infinity) : Infinity
  }

  call(method: string, given: readonly unknown[]): Promise<unknown> {
    const world = this.#world
    const caller = world.owner
    const label = `${this.kind} ${this.name}.${method}`
    return new Promise((resolve, reject) => {
      world.push({
        owner: caller,
        label: `calls ${label}`,
        outgoing: true,
        canFail: false,
        run: () => {
          const life = this.#alive((error) => this.#answer(caller, label, () => reject(error)))
          if (!life) return
          world.owner = life
          const call: Call = { caller, label, reject }
          life.calls.add(call)
          const ended = (settle: () => void): void => {
            if (life.calls.delete(call)) this.#answer(caller, label, settle)
          }
          void this.#invoke(life.instance, method, given).then(
            (value) => {
              this.#parts.returned(method, given, value)
              ended(() => resolve(value))
            },
            (error: unknown) => ended(() => reject(new Error(error instanceof Error ? error.message : 'failed'))),
          )
        },
      })
    })
  }

  /** Rings the alarm. It is used up by that; a handler that throws is called again later. */
  async ring(isDuplicate = false): Promise<void> {
    const world = this.#world
    if (!isDuplicate) this.alarmMs = null
    const life = this.#alive(() => undefined)
    if (!life) return
    life.isRinging.since = world.now
    await world.act(life, `alarm${isDuplicate ? ' once more' : ''}`, () => {
      void this.#invoke(life.instance, 'alarm', []).then(
        () => {
          this.#failures = 0
          life.isRinging.since = undefined
        },
        () => {
          life.isRinging.since = undefined
          this.#failures += 1
          if (this.alarmMs === null && this.#failures <= ALARM_RETRIES)
            this.alarmMs = world.now + FIRST_ALARM_RETRY_MS * 2 ** (this.#failures - 1)
        },
      )
    })
  }

  /** Ends its present life. An alarm that it was answering rings again, since nobody knows how far it came. */
  crash(isLost: boolean): void {
    const life = this.#life
    if (!life) return
    this.#world.note(`crash of ${this.kind} ${this.name}${isLost ? ', what it was sending is lost' : ''}`)
    this.#life = undefined
    this.#world.kill(life, isLost)
    for (const call of life.calls) this.#answer(call.caller, call.label, () => call.reject(new Error('the object was reset')))
    if (life.isRinging.since !== undefined) this.alarmMs ??= this.#world.now
  }

  /** Gives the database back. */
  end(): void {
    returnDatabase(this.kind, this.database)
  }

  async #invoke(instance: Instance, method: string, given: readonly unknown[]): Promise<unknown> {
    const called = instance[method]
    if (!called) throw new Error(`${this.kind} has no method ${method}`)
    return arrived(await called.apply(instance, [...given]))
  }

  #alive(refused: (error: unknown) => void): Life | undefined {
    if (this.#life) return this.#life
    const world = this.#world
    const life: Life = {
      name: `${this.kind} ${this.name}`,
      alive: true,
      instance: {},
      calls: new Set(),
      isRinging: { since: undefined, again: 0 },
    }
    const state = {
      id: { name: this.name, toString: () => this.name },
      storage: storageOf(world, this, () => life.alive),
      // A failure there is told to nobody.
      waitUntil: (work: Promise<unknown>): void => void work.catch(() => undefined),
      blockConcurrencyWhile: <T>(work: () => Promise<T>): Promise<T> => work(),
    }
    world.owner = life
    try {
      life.instance = new this.#parts.class(state, this.#parts.env) as unknown as Instance
    } catch (error) {
      refused(error)
      return undefined
    }
    this.#life = life
    return life
  }

  #answer(owner: Owner, label: string, run: () => void): void {
    this.#world.push({ owner, label: `answer of ${label}`, outgoing: false, canFail: false, run })
  }
}
