import type { MiddlewareHandler } from 'hono'
import { configOf } from '../config.ts'
import type { Client } from '../config.ts'
import type { Env } from '../env.ts'
import { ExportError } from '../errors.ts'
import { verifyAccessToken } from './access-token.ts'

/** Who is asking, and what for. */
export interface Caller {
  readonly clientId: string
  readonly client: Client
  readonly scopes: readonly string[]
}

/** For the `Variables` of a Hono app behind `authenticate`. */
export interface AuthVariables {
  caller: Caller
}

/** RFC 6750 §2.1. `Bearer` with nothing behind it is what several clients send when they have no token. */
const BEARER = /^bearer(?: +(.*))?$/i
const B64_TOKEN = /^[A-Za-z0-9._~+/-]+=*$/

/** @throws ExportError `token_missing`, `token_invalid` */
export const bearerOf = (authorization: string | undefined): string => {
  const token = BEARER.exec(authorization?.trim() ?? '')?.[1]
  if (!token) throw new ExportError('token_missing', 'Send an access token: `Authorization: Bearer <token>`.')
  if (!B64_TOKEN.test(token)) throw new ExportError('token_invalid', 'The access token is malformed.')
  return token
}

/** Lets a request through with `c.var.caller`, or throws what the app answers with 401 [AU-16, AU-20]. */
export const authenticate: MiddlewareHandler<{ Bindings: Env; Variables: AuthVariables }> = async (c, next) => {
  const token = bearerOf(c.req.header('Authorization'))
  const { clientId, client, scopes } = await verifyAccessToken(configOf(c.env), token, Date.now())
  c.set('caller', { clientId, client, scopes })
  await next()
}
