import type { Context } from 'hono'
import { publicJwks } from '../auth/access-token.ts'
import { configOf, type Config } from '../config.ts'
import { ExportError } from '../errors.ts'
import { signingKeyOf } from '../vendor/credentials.ts'
import type { App } from './context.ts'

export const live = (c: Context<App>): Response => c.json({ status: 'live' })

const problemOf = async (work: () => Promise<unknown>): Promise<string[]> => {
  try {
    await work()
    return []
  } catch (error) {
    return [error instanceof ExportError ? error.diagnostics : 'the configuration could not be read']
  }
}

/** A key that cannot sign is found here and not by the first export. */
const keyProblems = async (config: Config, sourceId: string): Promise<string[]> => {
  const source = await config.source(sourceId).catch(() => undefined)
  if (source?.credential.kind !== 'private-key-jwt') return []
  const { credential } = source
  return problemOf(() => signingKeyOf(credential, config.secret(credential.keySecret)))
}

/** Everything that is wrong with the configuration, by name and never by value; 503 while there is anything. */
export const ready = async (c: Context<App>): Promise<Response> => {
  const config = configOf(c.env)
  const found = [
    ...(await config.problems()),
    ...(await problemOf(() => publicJwks(config))),
    ...(await Promise.all(config.sourceIds.map((id) => keyProblems(config, id)))).flat(),
  ]
  const problems = [...new Set(found)]
  return problems.length === 0 ? c.json({ status: 'ready' }) : c.json({ status: 'not ready', problems }, 503)
}
