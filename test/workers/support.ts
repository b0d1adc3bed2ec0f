import { env } from 'cloudflare:test'
import { vi } from 'vitest'
import type { Env } from '../../src/env.ts'
import { FileStore, type OpenFile, type StoredFile } from '../../src/job/store-file.ts'
import { type KeepOn } from '../../src/job/keep-on.ts'
import type { Part, Upload, UploadRecord, WholeUpload } from '../../src/job/upload-rows.ts'
import { leakIn } from '../private-log.ts'

const isEnv = (bindings: object): bindings is Env => 'JOBS' in bindings && 'FILES' in bindings

/** The bindings of the Worker under test; its objects see the same ones. */
export const bindings: Env = (() => {
  if (!isEnv(env)) throw new Error('the bindings of wrangler.toml are missing')
  return env
})()

let sources = 0

export interface TestSource {
  readonly id: string
  /** Where the vendor's FHIR server is. */
  readonly base: string
  readonly tokenUrl: string
}

/** Configures a source of its own for one test; every object reads it from the environment. */
export const addSource = (parts: Readonly<Record<string, unknown>> = {}): TestSource => {
  const id = `s${(sources += 1)}`
  const base = `https://${id}.vendor.example/fhir`
  const tokenUrl = `https://${id}.vendor.example/token`
  Object.assign(env, {
    VENDOR_SECRET: 'vendor-token',
    [`SOURCE_${id.toUpperCase()}`]: {
      adapter: 'generic',
      fhirBase: base,
      credential: { kind: 'bearer', secret: 'VENDOR_SECRET' },
      ...parts,
    },
  })
  return { id, base, tokenUrl }
}

/** A source that asks its token endpoint. */
export const addTokenSource = (): TestSource => {
  const tokenUrl = 'https://auth.vendor.example/token'
  const source = addSource({
    credential: { kind: 'client-secret-post', clientId: 'bulkhead', tokenUrl, secret: 'VENDOR_SECRET' },
  })
  return { ...source, tokenUrl }
}

type Answer = (request: Request) => Response | Promise<Response>

/** Stands in for every server outside; what it does not know is remembered as unexpected. */
export class FakeVendor {
  /** `GET https://...`, in order. */
  readonly requests: string[] = []
  readonly #unexpected: string[] = []
  readonly #answers = new Map<string, Answer[]>()

  constructor() {
    vi.stubGlobal('fetch', async (url: string, init?: RequestInit) => this.#fetch(new Request(url, init)))
  }

  /** What is answered to a request: the answers in turn, the last one for ever. */
  on(request: string, ...answers: Answer[]): void {
    this.#answers.set(request, answers)
  }

  /** Throws when something was asked for that no test had expected. */
  verify(): void {
    if (this.#unexpected.length > 0) throw new Error(`unexpected: ${this.#unexpected.join(', ')}`)
  }

  count(request: string): number {
    return this.requests.filter((one) => one === request).length
  }

  async #fetch(request: Request): Promise<Response> {
    const line = `${request.method} ${request.url}`
    this.requests.push(line)
    const answers = this.#answers.get(line) ?? []
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    if (answer) return answer(request)
    this.#unexpected.push(line)
    return new Response(`unexpected ${line}`, { status: 418 })
  }
}

/** What the log held that must not leave by it. */
const leaks: string[] = []

/** Time stands still until a test moves it, and the log is read by nobody but us. */
export const holdTime = (): void => {
  vi.useFakeTimers({ toFake: ['Date'], now: TEST_START_MS })
  for (const level of ['info', 'warn', 'error'] as const) {
    vi.spyOn(console, level).mockImplementation((...parts: unknown[]) => {
      leaks.push(...parts.flatMap((part) => leakIn(String(part)) ?? []))
    })
  }
}

/** @throws when the log held what must not leave by it. */
export const letGo = (): void => {
  vi.useRealTimers()
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
  const found = leaks.splice(0)
  if (found.length > 0) throw new Error(`the log holds ${found.join(', ')}`)
}

/** `count` lines of resources of one type. */
export const ndjson = (type: string, count: number): string =>
  Array.from({ length: count }, (_, index) => `${JSON.stringify({ resourceType: type, id: `${type}-${index}` })}\n`).join('')

/** Lower-case hex. */
export const sha256Of = async (bytes: ArrayBuffer | Uint8Array<ArrayBuffer>): Promise<string> =>
  [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))].map((byte) => byte.toString(16).padStart(2, '0')).join('')

/** Hours ahead of the real clock, so that no alarm rings unless a test rings it. */
export const TEST_START_MS = Date.now() + 6 * 3_600_000

/** Scopes that cover whatever a job holds. */
export const EVERYTHING: readonly string[] = ['system/*.rs']

/** The state of one file's upload, kept in memory as the rows keep it. */
export const memoryRecord = (): UploadRecord => {
  let upload: Upload | undefined
  let whole: WholeUpload | undefined
  const parts = new Map<number, Part>()
  return {
    load: () => upload && { upload, whole, parts: [...parts.values()].toSorted((a, b) => a.n - b.n) },
    begin: (begun) => {
      upload = begun
    },
    addPart: (part) => void parts.set(part.n, part),
    dropPartsFrom: (n) => [...parts.keys()].forEach((key) => key >= n && parts.delete(key)),
    setValidator: (validator) => {
      upload = upload && { ...upload, validator }
    },
    finish: (found, lastPart) => {
      whole = found
      if (lastPart) parts.set(lastPart.n, lastPart)
    },
    drop: () => {
      upload = whole = undefined
      parts.clear()
    },
  }
}

/** Stores a file as collecting does, with nobody who breaks it off. */
export const storeFile = (
  key: string,
  open: OpenFile,
  type: string | undefined,
  {
    bucket = bindings.FILES,
    files = new FileStore(bucket),
    record = memoryRecord(),
    keepOn = (): ReturnType<KeepOn> => 'go-on',
    hasFailed = false,
  } = {},
): Promise<StoredFile> => files.store({ key, open, type, record, keepOn, hasFailed })
