import type { MiddlewareHandler } from 'hono'
import type { Caller } from '../../src/auth/authenticate.ts'
import { configOf } from '../../src/config.ts'
import type { Env } from '../../src/env.ts'

/** Takes the caller's word for who it is: tokens have tests of their own, and their signatures would be made on other threads. */
export const authenticate: MiddlewareHandler<{ Bindings: Env; Variables: { caller: Caller } }> = async (c, next) => {
  const client = await configOf(c.env).client(c.req.header('X-Caller') ?? '')
  if (!client) throw new Error('the simulation asks as a client that is not configured')
  c.set('caller', { clientId: client.clientId, client, scopes: client.scopes })
  await next()
}
