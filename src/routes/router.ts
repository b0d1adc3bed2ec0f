import type { Env } from 'hono'
import { HonoBase } from 'hono/hono-base'
import { RegExpRouter } from 'hono/router/reg-exp-router'
import { SmartRouter } from 'hono/router/smart-router'

/**
 * Routes, matched by the one router that takes all of ours; it is made at the first request and not when the Worker starts. Hono's
 * default has a second router for patterns that this one cannot tell apart: such a pattern would fail every request here.
 */
export const router = <Bindings extends Env>(): HonoBase<Bindings> =>
  new HonoBase<Bindings>({ router: new SmartRouter({ routers: [new RegExpRouter()] }) })
