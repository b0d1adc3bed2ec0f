import { Config } from '../../src/config.ts'
import type { KickoffParams, Level } from '../../src/fhir/kickoff-params.ts'
import { VendorClient, type TokenSource } from '../../src/vendor/client.ts'
import type { VendorKickoff } from '../../src/vendor/requests.ts'
import type { Source } from '../../src/vendor/source.ts'
import { NOW_MS, type Expectation } from './expectations.ts'
import { replay, substitute, type Replay } from './replay.ts'
import type { Exchange, TranscriptRequest } from './transcript.ts'

const TOKEN = 'the-vendor-token'
const RENEWED = 'the-renewed-token'

export const valuesOf = ({ values }: Expectation): Record<string, string> => ({
  token: TOKEN,
  renewed: RENEWED,
  nowPlus300Ms: String(NOW_MS + 300_000),
  nowPlus300Seconds: String(NOW_MS / 1000 + 300),
  ...values,
})

/** A source of this adapter, through the same parser as a deployed one. */
export const sourceOf = async (adapterId: string, given: Readonly<Record<string, unknown>>): Promise<Source> => {
  const variables = { PUBLIC_BASE: 'https://bulkhead.example', SOURCE_CONTRACT: { adapter: adapterId, ...given } }
  const source = await new Config(variables).source('contract')
  if (!source) throw new Error('the contract source is not configured')
  return source
}

const TOKENS: TokenSource = {
  token: () => Promise.resolve(TOKEN),
  renew: (stale) => (stale === TOKEN ? Promise.resolve(RENEWED) : Promise.reject(new Error(`renewed a second time: ${stale}`))),
}

export const clientOf = (source: Source): VendorClient => new VendorClient(source, TOKENS, false)

export const NO_PARAMS: KickoffParams = { type: [], elements: [], patient: [], includeAssociatedData: [], typeFilter: [] }

interface Given {
  readonly name: string
  readonly valueString?: string
  readonly valueReference?: { readonly reference: string }
}

const paramsOf = ({ url, body }: TranscriptRequest): KickoffParams => {
  if (body !== '') {
    const { parameter } = JSON.parse(body) as { readonly parameter: readonly Given[] }
    const named = (name: string): string[] =>
      parameter.flatMap((one) => (one.name === name ? [one.valueString ?? one.valueReference?.reference ?? ''] : []))
    return { ...NO_PARAMS, type: named('_type'), patient: named('patient') }
  }
  const query = new URLSearchParams(url.split('?', 2)[1])
  const since = query.get('_since')
  return { ...NO_PARAMS, type: query.get('_type')?.split(',') ?? [], ...(since === null ? {} : { since }) }
}

/** The export that a kick-off in a transcript asks for. */
export const kickoffOf = (request: TranscriptRequest, values: Readonly<Record<string, string>>): VendorKickoff => {
  const groupId = /\/Group\/([^/]+)\/\$export/.exec(substitute(request.url, values))?.[1]
  const level: Level = groupId !== undefined ? 'group' : request.url.includes('/Patient/$export') ? 'patient' : 'system'
  return { level, ...(groupId === undefined ? {} : { groupId }), params: paramsOf(request) }
}

/** What the client makes of one exchange, and what it sent for it. */
export interface Played {
  readonly outcome: { readonly kind: string } | boolean
  readonly sent: Replay['sent']
}

/** Plays an exchange, with those that its redirects lead to, through the client. */
export const play = async (
  source: Source,
  exchanges: readonly Exchange[],
  values: Readonly<Record<string, string>>,
  unsent = false,
): Promise<Played> => {
  const [first] = exchanges
  if (!first) throw new Error('there is nothing to play')
  const network = replay(unsent ? [] : exchanges, values)
  const client = clientOf(source)
  const url = substitute(first.request.url, values)
  const ask = (): Promise<Played['outcome']> => {
    const phase: string = first.name.split(':', 1)[0] ?? ''
    switch (phase) {
      case 'kickoff':
        return client.kickoff(kickoffOf(first.request, values))
      case 'status':
        return client.status(url)
      case 'file':
        return client.file(url)
      case 'cancel':
        return client.cancel(url)
      default:
        throw new Error(`${first.name}: must begin with kickoff, status, file or cancel`)
    }
  }
  const outcome = await ask()
  network.finish()
  return { outcome, sent: network.sent }
}
