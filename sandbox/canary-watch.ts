import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { JWK } from 'jose'
import { Canaries, leaksIn, type Door, type Passage } from './canaries.ts'
import { ClientExchanges } from './client-exchanges.ts'
import { parseJson } from './json.ts'
import { lines } from './ndjson.ts'
import type { Sandbox } from './sandbox.ts'
import type { SandboxKeys } from './state.ts'

/** How many patients are looked for. One would do; the first of a directory may have no address. */
const PATIENTS = 10
/** Of a request's body. */
const MAX_BODY_BYTES = 1024 * 1024
/** Secret members of a private JWK. */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi'] as const
// Node's own hook into every HTTP server of this process: the fake EHRs need not know that they are watched, and hosts that nobody
// expects are seen too. https://nodejs.org/api/diagnostics_channel.html#http
const CHANNEL = 'http.server.request.start'
/** Ports that every watch in this process knows: what belongs to another sandbox is no third host. */
const knownPorts = new Set<number>()

interface Started {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly socket: Socket
}

interface Party {
  readonly vendor: string
  readonly isStore: boolean
}

const partyName = ({ vendor, isStore }: Party): string => (isStore ? `${vendor} files` : vendor)

/** A path that names no job, file or group. */
const shapeOf = (path: string): string =>
  path
    .split('?', 1)
    .join('')
    .split('/')
    .map((segment) => (/^[$.A-Za-z][\w$.-]{0,24}$/.test(segment) || segment === '' ? segment : '…'))
    .join('/')

const plantKey = (canaries: Canaries, kind: 'signing key' | 'client key' | 'vendor key', key: JWK): void => {
  for (const member of PRIVATE_MEMBERS) canaries.plant(kind, key[member] ?? '')
}

interface PatientWords {
  readonly id?: string
  readonly name?: readonly { readonly family?: string }[]
  readonly identifier?: readonly { readonly value?: string }[]
  readonly address?: readonly { readonly line?: readonly string[] }[]
}

const plantPatients = async (canaries: Canaries, { dataset }: Sandbox): Promise<void> => {
  const [file] = await dataset.files('Patient', PATIENTS)
  if (file === undefined) return
  let left = PATIENTS
  for await (const line of lines(file.open())) {
    const { id = '', name, identifier, address } = (parseJson(line.toString()) ?? {}) as PatientWords
    canaries.plant('patient id', id)
    for (const { family = '' } of name ?? []) canaries.plant('patient name', family)
    for (const { value = '' } of identifier ?? []) canaries.plant('patient identifier', value)
    for (const text of address?.flatMap((each) => each.line ?? []) ?? []) canaries.plant('patient address', text)
    left -= 1
    if (left === 0) return
  }
}

const plantVendors = (canaries: Canaries, { vendors }: Sandbox): void => {
  for (const { id, origin, groupId, clients } of vendors) {
    canaries.plant('vendor address', new URL(origin).host, id)
    canaries.plant('group id', groupId, id)
    const { clientId, secret, privateKeys } = clients.primary
    const basic = [secret, `${clientId}:${secret}`].map((text) => Buffer.from(text).toString('base64'))
    for (const value of [secret, ...basic]) canaries.plant('vendor secret', value, id)
    for (const key of Object.values(privateKeys)) plantKey(canaries, 'vendor key', key)
  }
}

/**
 * Watches everything that a facade sends: its log, its answers to the clients of this process, and its requests to the fake EHRs and
 * to any other server of this process. It reads the secrets that are made on the way from the same traffic.
 */
export class CanaryWatch {
  readonly canaries = new Canaries()
  readonly #passages: Passage[] = []
  readonly #parties = new Map<number, Party>()
  #facadePort = 0
  readonly #exchanges = new ClientExchanges()
  readonly #listener = (message: unknown): void => this.#asked(message as Started)

  /** Begins to watch; `facadeAt` says whose answers are meant. */
  static async start(sandbox: Sandbox, keys: SandboxKeys): Promise<CanaryWatch> {
    const watch = new CanaryWatch(sandbox)
    plantKey(watch.canaries, 'signing key', keys.signing)
    for (const key of [keys.demo, keys.other]) plantKey(watch.canaries, 'client key', key)
    plantVendors(watch.canaries, sandbox)
    await plantPatients(watch.canaries, sandbox)
    return watch
  }

  private constructor({ vendors, sources }: Sandbox) {
    for (const { id, origin } of vendors) {
      this.#parties.set(Number(new URL(origin).port), { vendor: id, isStore: false })
      for (const store of sources[id]?.trust?.fileOrigins ?? []) {
        this.#parties.set(Number(new URL(store).port), { vendor: id, isStore: true })
        this.canaries.plant('vendor address', new URL(store).host, id, `${id} files`)
      }
    }
    for (const port of this.#parties.keys()) knownPorts.add(port)
    subscribe(CHANNEL, this.#listener)
  }

  /** From now on answers from this base are watched. */
  facadeAt(base: string): void {
    this.#exchanges.watch(base)
    this.#facadePort = Number(new URL(base).port)
    knownPorts.add(this.#facadePort)
  }

  /** Takes a line of the facade's log. */
  log(line: string): void {
    this.#passages.push({ door: 'log', party: '', text: line, where: /"event":"([\w.]+)"/.exec(line)?.[1] ?? 'no event' })
  }

  /** Every text that has left so far. */
  passages(): Passage[] {
    return [...this.#passages, ...this.#exchanges.passages(this.canaries, shapeOf)]
  }

  /** What left by a door that is not meant for it, in words without its value. */
  leaks(): string[] {
    // Secrets are learnt from all exchanges before the first text is read: a log line may come before the answer that it gives away.
    const passages = this.passages()
    return leaksIn(passages, this.canaries)
  }

  close(): void {
    unsubscribe(CHANNEL, this.#listener)
    this.#exchanges.close()
    for (const port of [...this.#parties.keys(), this.#facadePort]) knownPorts.delete(port)
  }

  #asked({ request, response, socket }: Started): void {
    const port = socket.localPort ?? 0
    const party = this.#parties.get(port)
    if (party === undefined && knownPorts.has(port)) return
    const body: Buffer[] = []
    let bytes = 0
    // Listening for `data` would take the body away from whoever reads it later.
    const push = request.push.bind(request)
    request.push = (chunk: Buffer | null, encoding) => {
      if (chunk !== null && bytes < MAX_BODY_BYTES) body.push(Buffer.from(chunk))
      bytes += chunk?.length ?? 0
      return push(chunk, encoding)
    }
    if (party !== undefined) this.#learnFromAnswers(response, party)
    const { method = 'GET', url = '/', rawHeaders } = request
    response.once('close', () => {
      const text = [url, ...rawHeaders, Buffer.concat(body).toString()].join('\n')
      if (party !== undefined) this.#learnFromRequest(method, text, request.headers.authorization, party)
      this.#passages.push({
        door: doorOf(party, method, url),
        party: party === undefined ? '' : partyName(party),
        text,
        where: `${method} ${party === undefined ? '' : shapeOf(url)}`.trim(),
      })
    })
  }

  /** Tokens and signed URLs as a fake EHR gives them out. */
  #learnFromAnswers(response: ServerResponse, party: Party): void {
    const learn = (chunk: unknown): void => {
      const text = typeof chunk === 'string' ? chunk : chunk instanceof Uint8Array ? Buffer.from(chunk).toString('latin1') : ''
      for (const [, token = ''] of text.matchAll(/"(?:access_token|accessToken)":\s*"([^"]+)"/g))
        this.canaries.plant('vendor token', token, party.vendor)
      this.#learnSignatures(text, party)
    }
    const write = response.write.bind(response)
    const end = response.end.bind(response)
    response.write = ((...parameters: Parameters<typeof write>) => {
      learn(parameters[0])
      return write(...parameters)
    }) as typeof write
    response.end = ((...parameters: Parameters<typeof end>) => {
      learn(parameters[0])
      return end(...parameters)
    }) as typeof end
  }

  /** What an answer that was compressed or cut did not show. */
  #learnFromRequest(method: string, text: string, authorization: string | undefined, party: Party): void {
    this.#learnSignatures(text, party)
    const bearer = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
    if (bearer !== undefined && !party.isStore && !this.canaries.has('vendor token', bearer))
      this.canaries.plant('vendor token', bearer, party.vendor)
    const assertion = method === 'POST' ? /client_assertion=[^&.]+\.[^&.]+\.([^&\s]+)/.exec(text)?.[1] : undefined
    if (assertion !== undefined && !this.canaries.has('vendor assertion', assertion))
      this.canaries.plant('vendor assertion', assertion, party.vendor)
  }

  #learnSignatures(text: string, { vendor }: Party): void {
    for (const [, signature = ''] of text.matchAll(/[?&](?:X-Amz-)?Signature=([^"&\s\\]+)/g))
      if (!this.canaries.has('presigned signature', signature))
        this.canaries.plant('presigned signature', signature, vendor, `${vendor} files`)
  }
}

const doorOf = (party: Party | undefined, method: string, url: string): Door => {
  if (party === undefined) return 'third host'
  if (party.isStore) return 'vendor store'
  return method === 'POST' && !url.includes('$export') && !url.includes('%24export') ? 'vendor token endpoint' : 'vendor API'
}
