import type { Env } from '../../src/env.ts'
import { ClientLedger } from '../../src/client/client-ledger.ts'
import { ExportJob } from '../../src/job/export-job.ts'
import { SourceGate } from '../../src/source/source-gate.ts'
import { Bucket } from './bucket.ts'
import { deadlineMsOf, COOLDOWN_MS, FLOOR_MS, GRACE_MS, HIDDEN_MS, MAX_POLL_MS, OTHER_SOURCE_ID, POLL_MS } from './numbers.ts'
import { PUBLIC_BASE, RETENTION_MS, SOURCE_ID, TOKEN_URL, VENDOR_BASE } from './numbers.ts'
import { SimulatedObject, type ObjectClass } from './objects.ts'
import type { OurJobs } from './jobs.ts'
import type { Plan } from './plan.ts'
import type { World } from './world.ts'

const CLASSES: Readonly<Record<string, ObjectClass>> = {
  JOBS: ExportJob as unknown as ObjectClass,
  GATES: SourceGate as unknown as ObjectClass,
  LEDGERS: ClientLedger as unknown as ObjectClass,
}

export const CLIENTS = ['ann', 'bob', 'eve'] as const
/** Has no exports of its own, and asks for those of others. */
export const STRANGER = 'stranger'

/** The platform of the history that is running. Environments outlive a history, because their configuration is parsed once. */
let present: Platform | undefined

const enter = (platform: Platform): void => {
  present = platform
}

const running = (): Platform => {
  if (!present) throw new Error('no history is running')
  return present
}

const namespace = (kind: string) => ({
  idFromName: (name: string) => name,
  get: (name: string) =>
    new Proxy(
      {},
      {
        get: (_, method) =>
          typeof method === 'string' && method !== 'then'
            ? (...given: unknown[]) => running().object(kind, name).call(method, given)
            : undefined,
      },
    ),
})

const files = new Proxy(
  {},
  {
    get: (_, method) => {
      const bucket = running().bucket as unknown as Record<string | symbol, (...given: unknown[]) => unknown>
      return bucket[method]?.bind(bucket)
    },
  },
)

const environments = new Map<string, Env>()

const client = (clientId: string) => ({
  clientId,
  jwks: { keys: [{ kty: 'EC', kid: clientId }] },
  scopes: ['system/*.rs'],
  access: { [SOURCE_ID]: {}, [OTHER_SOURCE_ID]: {} },
})

const environmentOf = (plan: Plan): Env => {
  const { streams, deleteAfterCollecting, inFlight, cools } = plan
  const key = JSON.stringify([streams, deleteAfterCollecting, inFlight, cools, deadlineMsOf(plan)])
  const known = environments.get(key)
  if (known) return known
  const source = {
    adapter: 'generic',
    fhirBase: VENDOR_BASE,
    credential: { kind: 'client-secret-post', clientId: 'bulkhead', tokenUrl: TOKEN_URL, secret: 'VENDOR_SECRET' },
    retention: streams ? 'none' : 'r2',
    gate: SOURCE_ID,
    // What is asked for beside it is done here.
    supports: { params: ['_since'] },
    deleteAfterCollecting,
    limits: {
      pollSeconds: POLL_MS / 1000,
      maxPollSeconds: MAX_POLL_MS / 1000,
      deadlineSeconds: deadlineMsOf(plan) / 1000,
      retentionSeconds: RETENTION_MS / 1000,
      hiddenJobSeconds: HIDDEN_MS / 1000,
      ...(inFlight === 0 ? {} : { inFlight }),
      ...(cools ? { kickoffEverySeconds: COOLDOWN_MS / 1000 } : {}),
    },
  }
  const environment = {
    PUBLIC_BASE,
    VENDOR_SECRET: 'secret',
    LIMITS: {
      vendorPollFloorSeconds: FLOOR_MS / 1000,
      statusRequestsPerMinute: 1_000_000,
      retentionSeconds: RETENTION_MS / 1000,
      purgeGraceSeconds: GRACE_MS / 1000,
      manifestPageFiles: 1,
    },
    [`SOURCE_${SOURCE_ID.toUpperCase()}`]: source,
    [`SOURCE_${OTHER_SOURCE_ID.toUpperCase()}`]: source,
    ...Object.fromEntries([...CLIENTS, STRANGER].map((id) => [`CLIENT_${id.toUpperCase()}`, client(id)])),
    ...Object.fromEntries(Object.keys(CLASSES).map((kind) => [kind, namespace(kind)])),
    FILES: files,
  }
  environments.set(key, environment as unknown as Env)
  return environment as unknown as Env
}

/** Objects, bucket and bindings of one history. */
export class Platform {
  readonly bucket: Bucket
  readonly environment: Env
  readonly #world: World
  readonly #objects = new Map<string, SimulatedObject>()
  readonly #ours: OurJobs

  constructor(world: World, plan: Plan, ours: OurJobs) {
    this.#world = world
    this.#ours = ours
    this.bucket = new Bucket(world)
    this.environment = environmentOf(plan)
  }

  object(kind: string, name: string): SimulatedObject {
    const key = `${kind}/${name}`
    const known = this.#objects.get(key)
    if (known) return known
    const objectClass = CLASSES[kind]
    if (!objectClass) throw new Error(`there is no class for ${kind}`)
    const object = new SimulatedObject(this.#world, kind, name, {
      class: objectClass,
      env: this.environment,
      returned: (method, given, value) => this.#ours.returned(method, given, value),
    })
    this.#objects.set(key, object)
    return object
  }

  objects(): SimulatedObject[] {
    return [...this.#objects.values()]
  }

  get gate(): SimulatedObject {
    return this.object('GATES', SOURCE_ID)
  }

  /** The object whose alarm rings first. */
  nextAlarm(): SimulatedObject | undefined {
    let first: SimulatedObject | undefined
    for (const object of this.#objects.values()) if (object.dueMs < (first?.dueMs ?? Infinity)) first = object
    return first
  }

  /** A new version of the software is there, or the machine is gone: every object starts a new life when it is next needed. */
  deploy(isLost: boolean): void {
    for (const object of this.#objects.values()) object.crash(isLost)
  }

  /** Whatever calls another object, or R2, now does so here. */
  begin(): void {
    enter(this)
  }

  end(): void {
    for (const object of this.#objects.values()) object.end()
    present = undefined
  }
}
