import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { JWK } from 'jose'
import { jsonOf, send } from './exchange.ts'
import { isJson, textOf } from './fhir.ts'
import { REQUIREMENTS } from './requirements.ts'
import type { Settings } from './server.ts'
import { DEFAULT_SCOPE, givenToken, signedTokens, type Tokens } from './tokens.ts'

export const USAGE = `npm run -s conformance -- --base URL (--token TOKEN | --client-id ID --key FILE) [options]

  --base URL            FHIR base of a server with bulk export
  --token TOKEN         access token; it must outlive the run
  --client-id ID        asks for tokens by SMART Backend Services instead, with
  --key FILE              the client's private JWK, with kid and alg
  --token-url URL         the token endpoint; default: that of .well-known/smart-configuration
  --scope SCOPES          default: ${DEFAULT_SCOPE}
  --group ID            group to export; default: the first that a search finds
  --report FILE         writes the report, as JSON or Markdown by the end of the name
  --only ID,ID          judges these requirements only
  --timeout SECONDS     how long one export may take; default: 900
  --parallel N          exports at a time; default: 2
  --over-poll N         sends N status requests at once, to see whether they are too many; default: 0
  --trust-origin URL    another origin that may be sent the token; may be repeated
  --allow-http          for a server on loopback

Exit code: 0 when no rule that must hold is broken, 1 when one is, 2 when the command is wrong.`

/** The command is wrong. */
export class UsageError extends Error {}

export interface Options {
  readonly settings: Settings
  readonly only: readonly string[]
  readonly report?: string
}

const DEFAULT_TIMEOUT = '900'
const DEFAULT_PARALLEL = '2'

const wholeNumber = (name: string, text: string, least: number): number => {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < least) throw new UsageError(`--${name}: a whole number of at least ${least}`)
  return value
}

const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]']

const urlOf = (name: string, text: string, mayBeHttp: boolean): URL => {
  if (!URL.canParse(text)) throw new UsageError(`--${name}: an absolute URL`)
  const url = new URL(text)
  if (url.protocol === 'https:') return url
  if (url.protocol !== 'http:' || !mayBeHttp || !LOOPBACK.includes(url.hostname))
    throw new UsageError(`--${name}: https; http is for loopback, with --allow-http`)
  return url
}

const keyIn = (file: string): JWK => {
  try {
    const key = JSON.parse(readFileSync(file, 'utf8')) as JWK
    if (typeof key.d === 'string' && typeof key.kid === 'string') return key
  } catch {
    // Said below, without a word of what stands in the file.
  }
  throw new UsageError('--key: a file with one private JWK that has a kid')
}

/** The token endpoint that the server names. */
const discovered = async (base: string, mayBeHttp: boolean): Promise<string> => {
  const configuration = jsonOf(
    await send({ url: `${base}/.well-known/smart-configuration`, headers: { Accept: 'application/json' } }),
  )
  const endpoint = isJson(configuration) ? textOf(configuration['token_endpoint']) : ''
  if (endpoint === '') throw new UsageError('--token-url: the server names no token endpoint, so it has to be given')
  return urlOf('token-url', endpoint, mayBeHttp).href
}

/** @throws UsageError when the command is wrong. */
export const readOptions = async (argv: readonly string[]): Promise<Options> => {
  const values = parsed(argv)
  const { base: baseText, token, 'client-id': clientId, key, report, group } = values
  if (baseText === undefined) throw new UsageError('--base is missing')
  const mayBeHttp = values['allow-http'] === true
  const base = urlOf('base', baseText, mayBeHttp).href.replace(/\/+$/, '')
  if ((token === undefined) === (clientId === undefined)) throw new UsageError('either --token, or --client-id with --key')
  const only = (values.only ?? '').split(',').filter((id) => id !== '')
  const unknown = only.find((id) => !REQUIREMENTS.some((requirement) => requirement.id === id))
  if (unknown !== undefined) throw new UsageError(`--only: ${unknown} is no requirement`)
  if (report !== undefined && !/\.(md|json)$/.test(report)) throw new UsageError('--report: a name that ends in .md or .json')
  const numbers = {
    timeoutSeconds: wholeNumber('timeout', values.timeout ?? DEFAULT_TIMEOUT, 1),
    parallel: wholeNumber('parallel', values.parallel ?? DEFAULT_PARALLEL, 1),
    overPoll: wholeNumber('over-poll', values['over-poll'] ?? '0', 0),
  }
  const trustedOrigins = (values['trust-origin'] ?? []).map((origin) => urlOf('trust-origin', origin, mayBeHttp).origin)
  let tokens: Tokens
  if (token !== undefined) tokens = givenToken(token)
  else {
    if (key === undefined) throw new UsageError('--key is missing')
    const given = values['token-url']
    const tokenUrl = given === undefined ? await discovered(base, mayBeHttp) : urlOf('token-url', given, mayBeHttp).href
    tokens = signedTokens({ clientId: clientId ?? '', tokenUrl, key: keyIn(key), scope: values.scope ?? DEFAULT_SCOPE })
  }
  return {
    settings: {
      base,
      tokens,
      ...numbers,
      trustedOrigins,
      ...(group === undefined ? {} : { groupId: group }),
      sleep: (ms) => delay(ms),
    },
    only,
    ...(report === undefined ? {} : { report }),
  }
}

const parsed = (argv: readonly string[]) => {
  const text = { type: 'string' } as const
  try {
    return parseArgs({
      args: [...argv],
      options: {
        base: text,
        token: text,
        'client-id': text,
        key: text,
        'token-url': text,
        scope: text,
        group: text,
        report: text,
        only: text,
        timeout: text,
        parallel: text,
        'over-poll': text,
        'trust-origin': { type: 'string', multiple: true },
        'allow-http': { type: 'boolean' },
      },
    }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}
