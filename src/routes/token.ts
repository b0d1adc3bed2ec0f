import { bodyLimit } from 'hono/body-limit'
import type { Context, MiddlewareHandler } from 'hono'
import { issueAccessToken, publicJwks } from '../auth/access-token.ts'
import { CLIENT_ASSERTION_TYPE, tokenUrlOf, verifyClientAssertion } from '../auth/client-assertion.ts'
import { clientKeys } from '../auth/jwks.ts'
import { grantScopes } from '../auth/scopes.ts'
import { clientNotAuthenticated, TokenError, tooManyRequests } from '../auth/token-error.ts'
import type { TokenErrorStatus } from '../auth/token-error.ts'
import { networkOf, tokenLimitsOf } from '../auth/token-limits.ts'
import { ledgerOf } from '../client/client-ledger.ts'
import { configOf } from '../config.ts'
import type { Env } from '../env.ts'
import { ExportError } from '../errors.ts'
import { auditedToken, noteForAudit } from './audit-trail.ts'
import { router } from './router.ts'

/** A token request is an assertion and some scopes. */
export const MAX_TOKEN_REQUEST_BYTES = 16 * 1024
const FORM = 'application/x-www-form-urlencoded'
/** Our keys change by a deployment only, and a new one is published before it signs. */
const JWKS_SECONDS = 300
const NO_STORE = { 'Cache-Control': 'no-store', Pragma: 'no-cache' } as const

type TokenApp = { Bindings: Env }

const invalidRequest = (description: string, status?: TokenErrorStatus): TokenError =>
  new TokenError('invalid_request', description, status === undefined ? {} : { status })

/** The form of a token request; a parameter without a value counts as absent (RFC 6749 §3.2). */
const formOf = async (c: Context<TokenApp>): Promise<(name: string) => string | undefined> => {
  const mediaType = c.req.header('Content-Type')?.split(';', 1)[0]?.trim().toLowerCase()
  if (mediaType !== FORM) throw invalidRequest(`Send the parameters as ${FORM}.`)
  // `text()` of a form makes workerd log a warning at every request.
  const form = new URLSearchParams(new TextDecoder().decode(await c.req.arrayBuffer()))
  const repeated = [...form.keys()].some((name) => form.getAll(name).length > 1)
  if (repeated) throw invalidRequest('Send each parameter once.')
  return (name) => form.get(name) || undefined
}

const answerToken = async (c: Context<TokenApp>): Promise<Response> => {
  const form = await formOf(c)
  const needed = (name: string): string => {
    const value = form(name)
    if (value === undefined) throw invalidRequest(`${name} is missing.`)
    return value
  }
  // RFC 6749 §2.3: one way of authenticating in a request.
  if (c.req.header('Authorization') !== undefined || form('client_secret') !== undefined)
    throw invalidRequest('Authenticate by client_assertion, and in no other way beside it.')
  if (needed('grant_type') !== 'client_credentials') {
    throw new TokenError('unsupported_grant_type', 'grant_type must be client_credentials.')
  }
  const scope = needed('scope')
  const assertionType = needed('client_assertion_type')
  const assertion = needed('client_assertion')
  if (assertionType !== CLIENT_ASSERTION_TYPE) {
    throw new TokenError('invalid_client', `client_assertion_type must be ${CLIENT_ASSERTION_TYPE}.`)
  }

  const config = configOf(c.env)
  const nowMs = Date.now()
  const { client, jti, expiresMs } = await verifyClientAssertion({
    assertion,
    clientOf: async (clientId) => config.client(clientId),
    keysOf: (registered) => clientKeys(registered, config.settings),
    tokenUrl: tokenUrlOf(config.settings),
    nowMs,
  })
  const named = form('client_id')
  if (named !== undefined && named !== client.clientId) throw clientNotAuthenticated()
  const { requests } = tokenLimitsOf(config)
  const waitSeconds = requests.waitSeconds(client.clientId, nowMs)
  if (waitSeconds !== undefined)
    throw tooManyRequests(
      waitSeconds,
      'This client asks for tokens too often. Use each one until it expires; wait as Retry-After says.',
    )
  // Only what is proven counts: a client could be locked out by naming it otherwise.
  requests.take(client.clientId, nowMs)
  // Only now is an object touched: a request by a stranger, or one too many, costs no storage, and spends no jti.
  noteForAudit(c, { clientId: client.clientId })
  if (!(await ledgerOf(c.env, client.clientId).useJti(jti, expiresMs))) {
    throw new TokenError('invalid_client', 'client_assertion: this jti was used before; sign a new assertion for every request')
  }
  const scopes = grantScopes(scope, client.scopes)
  if (scopes.length === 0) {
    throw new TokenError(
      'invalid_scope',
      'None of the scopes is one that this client may have; ask for such as system/Patient.rs. A scope with a query is never granted.',
    )
  }
  noteForAudit(c, { scopes })
  const { token, expiresInSeconds } = await issueAccessToken(config, { clientId: client.clientId, scopes, nowMs })
  return c.json(
    { access_token: token, token_type: 'bearer', expires_in: expiresInSeconds, scope: scopes.join(' ') },
    200,
    NO_STORE,
  )
}

/**
 * Stops an address whose requests keep being refused, before anything of the next one is read. What is granted does not count, so that
 * many clients may share an address; without one, as on loopback, nothing does.
 */
const limitRefusals: MiddlewareHandler<TokenApp> = async (c, next) => {
  const network = networkOf(c.req.header('CF-Connecting-IP'))
  if (network === undefined) return next()
  const { refusals } = tokenLimitsOf(configOf(c.env))
  const waitSeconds = refusals.waitSeconds(network, Date.now())
  if (waitSeconds !== undefined)
    throw tooManyRequests(waitSeconds, 'Too many requests from this address were refused. Wait as long as Retry-After says.')
  await next()
  const { status } = c.res
  if (status >= 400 && status < 500 && status !== 429) refusals.take(network, Date.now())
}

const tooLarge = (): never => {
  throw invalidRequest(`The body is larger than ${MAX_TOKEN_REQUEST_BYTES} bytes.`, 413)
}

const otherMethods =
  (allow: string) =>
  (c: Context<TokenApp>): never => {
    c.header('Allow', allow)
    throw invalidRequest(`Use ${allow}.`, 405)
  }

const refusalOf = (error: unknown): TokenError => {
  if (error instanceof TokenError) return error
  const known = error instanceof ExportError && error.code === 'config_invalid'
  return new TokenError('server_error', known ? error.diagnostics : 'The server failed to answer.', { cause: error })
}

/** RFC 6749 §5.2 leaves out quotes, backslashes and all beyond ASCII. */
const plain = (description: string): string => description.replaceAll(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "'")

/** `/auth/token` and `/auth/jwks`; mounted at `/auth`. Answers its own errors, since they are RFC 6749 JSON and not FHIR. */
export const tokenRoutes = router<TokenApp>()

tokenRoutes.onError((error, c) => {
  const { code, description, status, retryAfterSeconds } = refusalOf(error)
  if (retryAfterSeconds !== undefined) c.header('Retry-After', `${retryAfterSeconds}`)
  return c.json({ error: code, error_description: plain(description) }, status, NO_STORE)
})
tokenRoutes.use('/token', limitRefusals)
tokenRoutes.post('/token', auditedToken, bodyLimit({ maxSize: MAX_TOKEN_REQUEST_BYTES, onError: tooLarge }), answerToken)
tokenRoutes.all('/token', otherMethods('POST'))
tokenRoutes.get('/jwks', async (c) =>
  c.json(await publicJwks(configOf(c.env)), 200, { 'Cache-Control': `public, max-age=${JWKS_SECONDS}` }),
)
tokenRoutes.all('/jwks', otherMethods('GET, HEAD'))
tokenRoutes.all('/*', () => {
  throw invalidRequest('There is nothing at this path. Tokens are asked for at /auth/token, and the keys are at /auth/jwks.', 404)
})
