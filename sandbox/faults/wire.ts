import type { ServerResponse } from 'node:http'
import type { AnswerFault, FaultOf, FaultSource, Phase } from '../faults.ts'
import type { Serve } from '../listen.ts'
import { toStream } from '../ndjson.ts'
import { compressed, corrupted, firstBytes, measured, withoutTrailer } from './bodies.ts'
import { handled, hangUp, reset, sendBody, sendHalfHeader, sendHeader } from './socket.ts'

export interface WireOptions {
  readonly faults: FaultSource
  /** `undefined`: a request that is never tampered with. */
  readonly phaseOf: (request: Request) => Phase | undefined
  /** The vendor's clock. */
  readonly now: () => number
  /** What `delta` of a `Retry-After` is in. */
  readonly retryAfterUnit: 's' | 'ms'
  /** An error as this server words it. */
  readonly refuse: (phase: Phase, status: number) => Response
  /** Counts a request that its handler never saw. `waitMs`: what it was told in `Retry-After`. */
  readonly onUnserved: (phase: Phase, request: Request, answer: { readonly status: number; readonly waitMs?: number }) => void
  /** Makes every token issued so far void. */
  readonly revokeTokens: () => void
}

const LOGIN_PAGE = `<!DOCTYPE html>
<html><head><title>Sign in</title></head>
<body><form method="post" action="/login"><input name="user"><input name="password" type="password"></form></body></html>
`
/** A type that no fake EHR holds. */
const OTHER_TYPE_LINES = ['a', 'b', 'c']
  .map((id) => `${JSON.stringify({ resourceType: 'Schedule', id: `wrong-${id}` })}\n`)
  .join('')

const retryAfter = ({ form, seconds }: NonNullable<AnswerFault['retryAfter']>, nowMs: number, unit: 's' | 'ms'): string => {
  const atMs = nowMs + seconds * 1000
  switch (form) {
    case 'delta':
      return String(unit === 'ms' ? seconds * 1000 : seconds)
    case 'date':
      // Dates have whole seconds; never earlier than meant.
      return new Date(Math.ceil(atMs / 1000) * 1000).toUTCString()
    case 'epoch-seconds':
      return String(Math.ceil(atMs / 1000))
    case 'epoch-milliseconds':
      return String(Math.round(atMs))
  }
}

const gzipped = (response: Response, damage: FaultOf<'gzip'>['damage']): Response => {
  const headers = new Headers(response.headers)
  headers.delete('Content-Length')
  if (damage === 'unlabelled') headers.delete('Content-Encoding')
  else headers.set('Content-Encoding', 'gzip')
  const whole = compressed(response)
  const bytes =
    { truncated: withoutTrailer, corrupt: corrupted, none: undefined, unlabelled: undefined }[damage]?.(whole) ?? whole
  return new Response(toStream(bytes), { status: response.status, headers })
}

const contentLength = (response: Response): number | undefined => {
  const length = response.headers.get('Content-Length')
  return length === null ? undefined : Number(length)
}

const truncate = async (outgoing: ServerResponse, response: Response, fault: FaultOf<'truncate'>): Promise<void> => {
  if (fault.announce === 'chunked') {
    sendHeader(outgoing, response, undefined)
    await sendBody(outgoing, firstBytes(response.body, fault.bytes))
    outgoing.end()
    return
  }
  const { total, part } = await measured(response, fault.bytes)
  sendHeader(outgoing, response, fault.announce === 'length' ? total : Math.min(fault.bytes, Math.max(0, total - 1)))
  await sendBody(outgoing, part)
  if (fault.announce === 'short') outgoing.end()
  else hangUp(outgoing)
}

const cutOff = async (outgoing: ServerResponse, response: Response, bytes: number): Promise<void> => {
  sendHeader(outgoing, response, response.body === null ? undefined : contentLength(response))
  await sendBody(outgoing, firstBytes(response.body, bytes))
}

const stallOrReset = async (
  outgoing: ServerResponse,
  response: Response,
  fault: FaultOf<'reset'> | FaultOf<'stall'>,
): Promise<void> => {
  if (fault.at === 'mid-header') await sendHalfHeader(outgoing, response)
  if (fault.at === 'mid-body') await cutOff(outgoing, response, fault.bytes ?? 0)
  else await response.body?.cancel()
  if (fault.kind === 'reset') await reset(outgoing)
}

/** A server that misbehaves as its switchboard says. What the switchboard does not concern passes untouched. */
export const misbehaving = (serve: Serve, options: WireOptions): Serve => {
  const { faults, now } = options

  const answered = (phase: Phase, request: Request): Response | FaultOf<'reset'> | FaultOf<'stall'> | undefined => {
    const fault = faults.take(phase, ['answer', 'login-page', 'empty', 'reset', 'stall'])
    if (fault === undefined || fault.kind === 'reset' || fault.kind === 'stall') return fault
    const wait = fault.kind === 'answer' ? fault.retryAfter : undefined
    options.onUnserved(phase, request, {
      status: fault.kind === 'answer' ? fault.status : 200,
      ...(wait === undefined ? {} : { waitMs: wait.seconds * 1000 }),
    })
    if (fault.kind === 'login-page') return new Response(LOGIN_PAGE, { headers: { 'Content-Type': 'text/html; charset=utf-8' } })
    if (fault.kind === 'empty') return new Response(null, { status: 200 })
    const response = options.refuse(phase, fault.status)
    if (wait !== undefined) response.headers.set('Retry-After', retryAfter(wait, now(), options.retryAfterUnit))
    return response
  }

  const tampered = async (phase: Phase, response: Response, outgoing: ServerResponse): Promise<Response> => {
    const hasBody = response.ok && response.body !== null
    const fault = hasBody ? faults.take(phase, ['truncate', 'gzip', 'wrong-type', 'token-dies']) : undefined
    switch (fault?.kind) {
      case undefined:
        return response
      case 'gzip':
        return gzipped(response, fault.damage)
      case 'wrong-type':
        await response.body?.cancel()
        return new Response(OTHER_TYPE_LINES, { headers: { 'Content-Type': 'application/fhir+ndjson' } })
      case 'truncate':
        await truncate(outgoing, response, fault)
        return handled()
      case 'token-dies':
        await cutOff(outgoing, response, fault.bytes)
        options.revokeTokens()
        await reset(outgoing)
        return handled()
    }
  }

  return async (request, wire) => {
    const phase = options.phaseOf(request)
    if (!faults.watches(phase)) return serve(request, wire)
    const first = phase === undefined ? undefined : answered(phase, request)
    const served = first instanceof Response ? first : await serve(request, wire)
    // A copy whose headers may be changed, of whatever kind the server's answer is.
    const response = new Response(served.body, { status: served.status, headers: served.headers })
    if (faults.take('status', ['clock-skew']) !== undefined) response.headers.set('Date', new Date(now()).toUTCString())
    if (first !== undefined && !(first instanceof Response)) {
      await stallOrReset(wire.outgoing, response, first)
      return handled()
    }
    return phase === undefined ? response : tampered(phase, response, wire.outgoing)
  }
}
