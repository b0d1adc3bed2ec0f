import { vi } from 'vitest'
import type { Exchange, TranscriptRequest } from './transcript.ts'

/** A request as the code under test sent it. */
export interface SentRequest {
  readonly method: string
  readonly url: string
  readonly headers: Headers
  readonly body: string | undefined
}

export interface Replay {
  readonly sent: readonly SentRequest[]
  /** @throws Error that names every unexpected request and every unused exchange. */
  finish(): void
}

/** Puts values into `{name}`. Braces of JSON are left alone. @throws Error for a placeholder without a value. */
export const substitute = (text: string, values: Readonly<Record<string, string>>): string =>
  text.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`the placeholder {${name}} has no value`)
    return value
  })

/** Statuses whose response may not have a body. */
const BODILESS = new Set([204, 205, 304])

const differences = (expected: TranscriptRequest, sent: SentRequest, values: Readonly<Record<string, string>>): string[] => {
  const found: string[] = []
  if (sent.method !== expected.method) found.push(`method ${sent.method}, not ${expected.method}`)
  const url = substitute(expected.url, values)
  if (sent.url !== url) found.push(`URL ${sent.url}, not ${url}`)
  for (const [name, template] of expected.headers) {
    const value = substitute(template, values)
    if (sent.headers.get(name) !== value) found.push(`${name} ${sent.headers.get(name)}, not ${value}`)
  }
  // A token that a transcript does not name is a token that leaked.
  if (!expected.headers.has('authorization') && sent.headers.has('authorization')) found.push('an authorization')
  if (expected.body !== '' && sent.body !== substitute(expected.body, values)) found.push(`body ${sent.body}`)
  return found
}

/**
 * Stands in for the network: answers the exchanges in their order, and nothing else.
 *
 * What differs is kept for `finish()`, since the code under test turns an exception of `fetch` into an outcome of its own.
 */
export const replay = (exchanges: readonly Exchange[], values: Readonly<Record<string, string>>): Replay => {
  const sent: SentRequest[] = []
  const problems: string[] = []
  const answer = (url: string, init: RequestInit = {}): Response => {
    const request: SentRequest = {
      method: init.method ?? 'GET',
      url,
      headers: new Headers(init.headers),
      body: typeof init.body === 'string' ? init.body : undefined,
    }
    const exchange = exchanges[sent.length]
    sent.push(request)
    const found = exchange ? differences(exchange.request, request, values) : ['no exchange is left']
    if (init.redirect !== 'manual') found.push(`redirect ${init.redirect}, not manual`)
    if (exchange && found.length === 0) {
      const { status, headers, body } = exchange.response
      const text = substitute(body, values)
      return new Response(BODILESS.has(status) || text === '' ? null : text, {
        status,
        headers: [...headers].map(([name, value]): [string, string] => [name, substitute(value, values)]),
      })
    }
    problems.push(`unexpected ${request.method} ${request.url} (${exchange?.name ?? 'past the end'}): ${found.join('; ')}`)
    throw new TypeError('not in the transcript')
  }
  // What fetch throws, it throws as a rejection.
  // oxlint-disable-next-line eslint/require-await
  vi.stubGlobal('fetch', async (url: string, init?: RequestInit) => answer(url, init))
  return {
    sent,
    finish() {
      vi.unstubAllGlobals()
      const unused = exchanges.slice(sent.length).map(({ name }) => `unused exchange: ${name}`)
      if (problems.length + unused.length > 0) throw new Error([...problems, ...unused].join('\n'))
    },
  }
}
