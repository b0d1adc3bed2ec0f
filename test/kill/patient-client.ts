import { open } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { JWK } from 'jose'
import { requestToken, type Manifest } from '../../sandbox/bulk-client.ts'

/** How long a server may be away before the client gives up. */
const PATIENCE_MS = 60_000
const RECONNECT_MS = 100
const TOKEN_MARGIN_MS = 30_000
/** Issue codes that say: ask again, the export may be alive [ST-08]. */
const TRANSIENT = new Set(['transient', 'timeout', 'throttled', 'exception', 'lock-error', 'no-store', 'incomplete'])

export type ExportEnd =
  | { readonly kind: 'complete'; readonly manifest: Manifest }
  | { readonly kind: 'failed'; readonly status: number; readonly text: string }
  | { readonly kind: 'absent' }

interface Outcome {
  readonly issue?: readonly { readonly code?: string; readonly diagnostics?: string }[]
}

const isRefused = (error: unknown): boolean =>
  error instanceof Error && ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED' || isRefused(error.cause))

/** Whether the connection failed, and not the server's mind. */
const isNetwork = (error: unknown): boolean => error instanceof TypeError || (error instanceof Error && isRefused(error))

/**
 * A bulk data client that outlives its server: what is safe to ask again it asks again, a broken download goes on with `Range` and
 * `If-Range`. It knows nothing that the specification does not tell it.
 */
export class PatientClient {
  readonly #base: string
  readonly #key: JWK
  readonly #secondMs: number
  #token: { token: string; expiresMs: number } | undefined
  /** Downloads that went on in the middle. */
  resumed = 0
  readonly #closing = new AbortController()

  /** @param secondMs What a second of `Retry-After` lasts. */
  constructor(base: string, key: JWK, secondMs: number) {
    this.#base = base
    this.#key = key
    this.#secondMs = secondMs
  }

  /** Ends whatever is still being waited for. */
  close(): void {
    this.#closing.abort(new Error('the client has given up'))
  }

  /** @returns The status URL, or nothing when the connection broke before the answer. @throws when the export is refused. */
  async kickoff(path: string, beforeSending: () => void): Promise<string | undefined> {
    const headers = { Accept: 'application/fhir+json', Prefer: 'respond-async' }
    for (const untilMs = Date.now() + PATIENCE_MS; ;) {
      const authorization = await this.#authorization()
      beforeSending()
      try {
        const response = await fetch(this.#base + path, {
          headers: { ...headers, ...authorization },
          signal: this.#closing.signal,
        })
        const text = await response.text()
        const location = response.headers.get('Content-Location')
        if (response.status === 202 && location !== null) return location
        throw new Error(`kick-off: ${response.status} ${text}`)
      } catch (error) {
        // A connection that never was has carried no kick-off; one that broke may have.
        if (!isNetwork(error)) throw error
        if (!isRefused(error) || Date.now() > untilMs) return undefined
        await this.#wait(RECONNECT_MS)
      }
    }
  }

  /** What a status or file URL answers, without its body. */
  async statusOf(url: string): Promise<number> {
    const response = await this.#again(url, {})
    await response.body?.cancel().catch(() => undefined)
    return response.status
  }

  /** Polls as it is told until the export has ended. @returns Nothing when time is up. */
  async end(url: string, withinMs = Infinity): Promise<ExportEnd | undefined> {
    for (const untilMs = Date.now() + withinMs; Date.now() < untilMs;) {
      const response = await this.#again(url, { headers: { Accept: 'application/json' } })
      const text = await response.text().catch(() => undefined)
      if (text === undefined) continue
      if (response.status === 200) return { kind: 'complete', manifest: JSON.parse(text) as Manifest }
      if (response.status === 404) return { kind: 'absent' }
      if (response.status !== 202 && response.status !== 429) {
        const [issue] = (JSON.parse(text) as Outcome).issue ?? []
        if (!TRANSIENT.has(issue?.code ?? ''))
          return { kind: 'failed', status: response.status, text: issue?.diagnostics ?? text }
      }
      await this.#wait(Number(response.headers.get('Retry-After') ?? 1) * this.#secondMs)
    }
    return undefined
  }

  /** Writes one output file to disk. @param onBytes Called after each piece. */
  async download(url: string, path: string, onBytes: () => void): Promise<void> {
    const file = await open(path, 'w')
    try {
      for (let at = 0, etag: string | null = null, complete = false; !complete;) {
        const resume: Record<string, string> = at > 0 && etag !== null ? { Range: `bytes=${at}-`, 'If-Range': etag } : {}
        const response = await this.#again(url, { headers: { 'Accept-Encoding': 'identity', ...resume } })
        if (!response.ok || response.body === null) throw new Error(`file: ${response.status} ${await response.text()}`)
        if (response.status === 206) this.resumed += 1
        else at = 0
        etag = response.headers.get('ETag')
        try {
          for await (const chunk of response.body) {
            await file.write(chunk, 0, chunk.byteLength, at)
            at += chunk.byteLength
            onBytes()
          }
          await file.truncate(at)
          complete = true
        } catch (error) {
          if (!isNetwork(error)) throw error
        }
      }
    } finally {
      await file.close()
    }
  }

  /** @returns 202 when it was deleted, 404 when there was nothing to delete any more. */
  async remove(url: string, beforeSending: () => void): Promise<number> {
    const response = await this.#again(url, { method: 'DELETE' }, beforeSending)
    await response.body?.cancel()
    return response.status
  }

  /** Status URLs of all exports that the server keeps for this client, by the kick-off URL that began them. */
  async jobs(): Promise<Map<string, string>> {
    const found = new Map<string, string>()
    for (let page: string | undefined = '/jobs?limit=200'; page !== undefined;) {
      const response = await this.#again(page, {})
      if (!response.ok) throw new Error(`jobs: ${response.status} ${await response.text()}`)
      const { jobs, next } = (await response.json()) as { jobs: { request: string; status: string }[]; next?: string }
      for (const { request, status } of jobs) found.set(request, status)
      page = next
    }
    return found
  }

  /** Asks until there is an answer: only for what may be asked twice. */
  async #again(url: string, init: RequestInit, beforeSending: () => void = () => undefined): Promise<Response> {
    for (const untilMs = Date.now() + PATIENCE_MS; ;) {
      try {
        const headers = { ...(init.headers as Record<string, string> | undefined), ...(await this.#authorization()) }
        beforeSending()
        return await fetch(url.startsWith('http') ? url : this.#base + url, { ...init, headers, signal: this.#closing.signal })
      } catch (error) {
        if (!isNetwork(error) || Date.now() > untilMs) throw error
        await this.#wait(RECONNECT_MS)
      }
    }
  }

  async #wait(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#closing.signal })
  }

  async #authorization(): Promise<{ Authorization: string }> {
    for (const untilMs = Date.now() + PATIENCE_MS; ;) {
      try {
        if (!this.#token || this.#token.expiresMs - TOKEN_MARGIN_MS < Date.now())
          this.#token = await requestToken(this.#base, 'demo', this.#key)
        return { Authorization: `Bearer ${this.#token.token}` }
      } catch (error) {
        if (!isNetwork(error) || Date.now() > untilMs) throw error
        await this.#wait(RECONNECT_MS)
      }
    }
  }
}
