import type { Hono } from 'hono'
import type { Switchboard } from '../faults.ts'
import type { VendorEnv } from '../vendor-server.ts'
import { parseFaults } from './parse.ts'

const PATH = '/_faults'

/**
 * The switchboard by hand: `POST /_faults` with a list of faults or one replaces what is set, `GET` tells it with its hits, `DELETE`
 * clears it. What is malformed or does not apply is 400 with the field's name, and changes nothing.
 */
export const mountFaults = (app: Hono<VendorEnv>, faults: Switchboard, presigns: boolean): void => {
  app.get(PATH, (c) => c.json(faults.hits()))
  app.delete(PATH, (c) => {
    faults.clear()
    return c.json(faults.hits())
  })
  app.post(PATH, async (c) => {
    const body: unknown = await c.req.json<unknown>().catch(() => undefined)
    if (body === undefined) return c.json({ error: 'The body must be JSON: a list of faults, or one' }, 400)
    const parsed = parseFaults(body, presigns)
    if ('problem' in parsed) return c.json({ error: parsed.problem }, 400)
    faults.set(parsed.faults)
    return c.json(faults.hits())
  })
}
