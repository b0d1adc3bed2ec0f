import { jsonOf, type Exchange } from './exchange.ts'
import { FHIR_JSON, isJson, objects, retryAfterMs, textOf, type Json, type Level } from './fhir.ts'
import { downloadAll, MAX_FILES, type File } from './files.ts'
import type { Server } from './server.ts'
import { NotHad } from './verdict.ts'

/** Parameter and value, in order; a reference or a code is what its name says. */
export type Parameters = readonly (readonly [name: string, value: string])[]

/** A kick-off. Two that are the same are one export. */
export interface KickOff {
  readonly level?: Level
  readonly groupId?: string
  readonly method?: 'GET' | 'POST'
  readonly params?: Parameters
  /** Preferences; `null` for no header at all. */
  readonly prefer?: string | null
  readonly accept?: string | null
  /** Asks with a token of this scope. */
  readonly scope?: string
  /** Sets two kick-offs apart that are the same otherwise. */
  readonly purpose?: string
}

export interface Export {
  readonly kickoff: Exchange
  /** Every status request, in order. */
  readonly polls: readonly Exchange[]
  /** The manifest, or the page that came first; `undefined` when the export was refused, has failed or did not end. */
  readonly manifest?: Json
  /** Every page: one, where there are no pages. */
  readonly pages: readonly Json[]
  /** What `output`, `deleted` and `error` of every page list. */
  readonly files: readonly File[]
  readonly statusUrl?: string
  /** A status answer that asked for a far longer wait than the export then took. */
  readonly overstated?: Exchange
}

const MAX_EXPORTS = 60
const MAX_POLLS = 10_000
const MAX_BUSY = 60
const MAX_PAGES = 100
/** Waits between status requests where the server names none: like a client that backs off. */
const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 60_000

const VALUE: Readonly<Record<string, string>> = {
  _since: 'valueInstant',
  _until: 'valueInstant',
  includeAssociatedData: 'valueCode',
  allowPartialManifests: 'valueBoolean',
}

const parameterOf = ([name, value]: readonly [string, string]): Json =>
  name === 'patient'
    ? { name, valueReference: { reference: value } }
    : { name, [VALUE[name] ?? 'valueString']: name === 'allowPartialManifests' ? value === 'true' : value }

/** Starts exports, waits for them and fetches them: each once, few at a time, all of them deleted in the end. */
export class Exports {
  readonly server: Server
  readonly #statusUrls = new Set<string>()
  readonly #waiting: (() => void)[] = []
  readonly #overstated = new Map<string, Exchange>()
  #free: number
  #started = 0
  /** Kick-offs that were answered with 429. */
  readonly busy: Exchange[] = []

  constructor(server: Server) {
    this.server = server
    this.#free = server.settings.parallel
  }

  /** Kick-off alone. What it starts is the caller's until `clear`. */
  async kickoff(kickOff: KickOff): Promise<Exchange> {
    const {
      level = await this.server.mainLevel(),
      method = 'GET',
      params = [],
      prefer = 'respond-async',
      accept = FHIR_JSON,
    } = kickOff
    const query = params.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')
    const path = await this.server.exportPath(level, kickOff.groupId)
    const isPost = method === 'POST'
    const sent = {
      method,
      url: isPost || query === '' ? path : `${path}?${query}`,
      headers: {
        ...(accept === null ? {} : { Accept: accept }),
        ...(prefer === null ? {} : { Prefer: prefer }),
        ...(isPost ? { 'Content-Type': FHIR_JSON } : {}),
      },
      ...(isPost ? { body: JSON.stringify({ resourceType: 'Parameters', parameter: params.map(parameterOf) }) } : {}),
    }
    for (let busy = 0; ; busy += 1) {
      this.#started += 1
      if (this.#started > MAX_EXPORTS + this.busy.length) throw new NotHad(`the suite starts no more than ${MAX_EXPORTS} exports`)
      const answer = await this.server.send(sent, kickOff.scope === undefined ? {} : { scope: kickOff.scope })
      const location = statusUrlOf(answer)
      if (location !== undefined) this.#statusUrls.add(location)
      if (answer.status !== 429 || busy === MAX_BUSY) return answer
      this.busy.push(answer)
      await this.server.settings.sleep(retryAfterMs(answer.headers['retry-after']) ?? LONGEST_WAIT_MS)
    }
  }

  /** Kicks off, and deletes what that has started. */
  probe(kickOff: KickOff): Promise<Exchange> {
    return this.server.once(`probe ${JSON.stringify(kickOff)}`, () =>
      this.#inTurn(async () => {
        const answer = await this.kickoff(kickOff)
        const location = statusUrlOf(answer)
        if (location !== undefined) await this.delete(location)
        return answer
      }),
    )
  }

  /** An export from kick-off to its last file. The same kick-off is the same export, however many ask for it. */
  run(kickOff: KickOff = {}): Promise<Export> {
    return this.server.once(`export ${JSON.stringify(kickOff)}`, async () => {
      const { files: _files, ...run } = await this.#inTurn(() => this.#manifestOf(kickOff))
      return { ...run, files: await downloadAll(this.server, run.pages) }
    })
  }

  /** `run`, for checks that have nothing to look at when there is no manifest. @throws NotHad */
  async complete(kickOff: KickOff = {}): Promise<Export & { readonly manifest: Json }> {
    const run = await this.run(kickOff)
    const { manifest } = run
    if (manifest === undefined) {
      const last = run.polls.at(-1) ?? run.kickoff
      throw new NotHad(`the export it needs did not complete: ${last.method} ended with ${last.status}`)
    }
    return { ...run, manifest }
  }

  /** The answer that a kick-off is refused with, at once or once its turn in a queue has come; otherwise the last of its export. */
  async outcome(kickOff: KickOff): Promise<Exchange> {
    const { kickoff, polls } = await this.run(kickOff)
    return polls.at(-1) ?? kickoff
  }

  /** `complete`, for checks that compare what two exports hold. @throws NotHad when it is larger than what is read. */
  async whole(kickOff: KickOff = {}): Promise<Export & { readonly manifest: Json }> {
    const run = await this.complete(kickOff)
    if (run.files.some(({ exchange }) => exchange.isCut) || run.files.length >= MAX_FILES) {
      throw new NotHad('the export is larger than what the suite reads of it')
    }
    return run
  }

  async delete(statusUrl: string): Promise<Exchange> {
    this.#statusUrls.delete(statusUrl)
    return this.server.send({ method: 'DELETE', url: statusUrl, headers: { Accept: FHIR_JSON } })
  }

  /** Deletes what is left of everything that was started. */
  async clear(): Promise<void> {
    for (const statusUrl of this.#statusUrls) await this.delete(statusUrl).catch(() => undefined)
  }

  poll(statusUrl: string, accept = 'application/json'): Promise<Exchange> {
    return this.server.send({ url: statusUrl, headers: { Accept: accept } })
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free += 1
      else next()
    }
  }

  async #manifestOf(kickOff: KickOff): Promise<Export> {
    const kickoff = await this.kickoff(kickOff)
    const statusUrl = statusUrlOf(kickoff)
    const polls: Exchange[] = []
    const nothing = { kickoff, polls, pages: [], files: [] }
    if (statusUrl === undefined) return nothing
    const first = await this.#pollToEnd(statusUrl, polls)
    const manifest = first === undefined ? undefined : jsonOf(first)
    if (!isJson(manifest)) return { ...nothing, statusUrl }
    const pages = [manifest]
    for (let next = nextOf(manifest); next !== undefined && pages.length < MAX_PAGES;) {
      const answer = await this.#pollToEnd(next, polls)
      const page = answer === undefined ? undefined : jsonOf(answer)
      if (!isJson(page)) break
      pages.push(page)
      next = nextOf(page)
    }
    const overstated = this.#overstated.get(statusUrl)
    return { kickoff, polls, manifest, pages, files: [], statusUrl, ...(overstated === undefined ? {} : { overstated }) }
  }

  /** @returns The answer that is 200; `undefined` when the export failed or took too long. */
  async #pollToEnd(url: string, polls: Exchange[]): Promise<Exchange | undefined> {
    const { timeoutSeconds, sleep } = this.server.settings
    let waitMs = FIRST_WAIT_MS
    let waitedMs = 0
    let doubted: Exchange | undefined
    for (let count = 0; count < MAX_POLLS && waitedMs <= timeoutSeconds * 1000; count += 1) {
      const answer = await this.poll(url)
      polls.push(answer)
      const told = answer.headers['x-export-status']
      const status = answer.status === 200 && told !== undefined ? Number(told.split(' ')[0]) : answer.status
      if (status === 200) {
        if (doubted !== undefined) this.#overstated.set(url, doubted)
        return answer
      }
      if (status !== 202 && status !== 429 && status !== 503) return undefined
      const asked = retryAfterMs(answer.headers['retry-after'])
      const wait = Math.min(asked ?? waitMs, LONGEST_WAIT_MS)
      doubted = asked !== undefined && asked > wait ? answer : undefined
      await sleep(wait)
      waitedMs += wait
      waitMs = Math.min(waitMs * 1.5, LONGEST_WAIT_MS)
    }
    return undefined
  }
}

/** `Content-Location` of an accepted kick-off, when it is an absolute URL. */
export const statusUrlOf = ({ status, headers }: Exchange): string | undefined =>
  status === 202 && /^https?:\/\//.test(headers['content-location'] ?? '') ? headers['content-location'] : undefined

const nextOf = (page: Json): string | undefined =>
  objects(page['link'])
    .filter(({ relation }) => relation === 'next')
    .map(({ url }) => textOf(url))
    .find((url) => /^https?:\/\//.test(url))
