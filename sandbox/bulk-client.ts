import { createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { importJWK, SignJWT, type JWK } from 'jose'

/** A file of a manifest, as the specification has it. */
export interface ManifestFile {
  readonly type: string
  readonly url: string
  readonly count?: number
}

export interface Manifest {
  readonly transactionTime: string
  readonly request: string
  readonly requiresAccessToken: boolean
  readonly output: readonly ManifestFile[]
  readonly deleted: readonly ManifestFile[]
  readonly error: readonly ManifestFile[]
}

/** What a caller may want to show. */
export type Progress =
  | { readonly step: 'waiting'; readonly progress: string }
  | { readonly step: 'downloading'; readonly done: number; readonly total: number }

const TOKEN_MARGIN_MS = 30_000
const DOWNLOADS_AT_A_TIME = 2

const signedAssertion = async (clientId: string, key: JWK, tokenUrl: string): Promise<string> =>
  new SignJWT({})
    .setProtectedHeader({ alg: 'ES384', typ: 'JWT', kid: key.kid ?? '' })
    .setIssuer(clientId)
    .setSubject(clientId)
    .setAudience(tokenUrl)
    .setJti(crypto.randomUUID())
    .setIssuedAt()
    .setExpirationTime('2m')
    .sign(await importJWK(key, 'ES384'))

/** Proves who the client is and gets an access token. @throws with the server's own words when it is refused. */
export const requestToken = async (
  base: string,
  clientId: string,
  key: JWK,
  scope = 'system/*.rs',
): Promise<{ token: string; expiresMs: number }> => {
  const tokenUrl = `${base}/auth/token`
  const response = await fetch(tokenUrl, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      scope,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: await signedAssertion(clientId, key, tokenUrl),
    }),
  })
  if (!response.ok) throw new Error(`token request: ${response.status} ${await response.text()}`)
  const body = (await response.json()) as { access_token: string; expires_in: number }
  return { token: body.access_token, expiresMs: Date.now() + body.expires_in * 1000 }
}

/**
 * A plain bulk data client: it knows the specification, and nothing of what is behind a source. It renews its token, waits as it is
 * told, and writes what it downloads to disk as it comes.
 */
export class BulkClient {
  readonly #base: string
  readonly #clientId: string
  readonly #key: JWK
  readonly #secondMs: number
  #token: { token: string; expiresMs: number } | undefined

  /** @param secondMs What a second of `Retry-After` lasts; tests have less time than a client. */
  constructor(base: string, clientId: string, key: JWK, secondMs = 1000) {
    this.#secondMs = secondMs
    this.#base = base
    this.#clientId = clientId
    this.#key = key
  }

  async #authorization(): Promise<string> {
    if (!this.#token || this.#token.expiresMs - TOKEN_MARGIN_MS < Date.now()) {
      this.#token = await requestToken(this.#base, this.#clientId, this.#key)
    }
    return `Bearer ${this.#token.token}`
  }

  async fetch(url: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers)
    headers.set('Authorization', await this.#authorization())
    return fetch(url.startsWith('http') ? url : this.#base + url, { ...init, headers })
  }

  /** Everything behind a URL. @throws unless it is 200. */
  async read(url: string): Promise<Uint8Array> {
    const response = await this.fetch(url)
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`)
    return new Uint8Array(await response.arrayBuffer())
  }

  /** @returns The status URL. @throws with the OperationOutcome when the export is refused. */
  async kickoff(path: string): Promise<string> {
    const response = await this.fetch(path, { headers: { Accept: 'application/fhir+json', Prefer: 'respond-async' } })
    const location = response.headers.get('Content-Location')
    if (response.status !== 202 || location === null) throw new Error(`kick-off: ${response.status} ${await response.text()}`)
    await response.body?.cancel()
    return location
  }

  /** Polls until the export is complete. @throws with the OperationOutcome when it failed. */
  async manifest(statusUrl: string, onProgress: (progress: Progress) => void = () => undefined): Promise<Manifest> {
    for (;;) {
      const response = await this.fetch(statusUrl, { headers: { Accept: 'application/json' } })
      if (response.status === 200) return (await response.json()) as Manifest
      if (response.status !== 202 && response.status !== 429)
        throw new Error(`status: ${response.status} ${await response.text()}`)
      await response.body?.cancel()
      onProgress({ step: 'waiting', progress: response.headers.get('X-Progress') ?? '' })
      await delay(Number(response.headers.get('Retry-After')) * this.#secondMs)
    }
  }

  /** Writes every output file to a directory, under the names that their URLs end in. @returns Bytes written. */
  async download(
    manifest: Manifest,
    directory: string,
    onProgress: (progress: Progress) => void = () => undefined,
  ): Promise<number> {
    await mkdir(directory, { recursive: true })
    const files = [...manifest.output, ...manifest.deleted, ...manifest.error]
    const queue = files.values()
    let done = 0
    let bytes = 0
    const worker = async (): Promise<void> => {
      for (const { url } of queue) {
        const response = await this.fetch(url, { headers: { Accept: 'application/fhir+ndjson', 'Accept-Encoding': 'identity' } })
        if (!response.ok || !response.body) throw new Error(`file: ${response.status} ${await response.text()}`)
        const target = createWriteStream(`${directory}/${fileNameOf(url)}`)
        await pipeline(Readable.fromWeb(response.body), target)
        bytes += target.bytesWritten
        done += 1
        onProgress({ step: 'downloading', done, total: files.length })
      }
    }
    await Promise.all(Array.from({ length: DOWNLOADS_AT_A_TIME }, worker))
    return bytes
  }
}

/** The last segment of a URL's path, made safe for a file system. */
export const fileNameOf = (url: string): string =>
  new URL(url).pathname
    .split('/')
    .at(-1)
    ?.replaceAll(/[^\w.-]/g, '_') ?? 'file'
