import { configOf } from '../config.ts'
import type { Env } from '../env.ts'
import { ExportError } from '../errors.ts'
import type { Source } from '../vendor/source.ts'

/** Configuration that cannot be used; errors do not survive the trip between objects, so it is told like this. */
export interface Misconfigured {
  readonly kind: 'misconfigured'
  readonly diagnostics: string
}

/** What is wrong with the configuration, if that is what an error says; any other is thrown on. */
export const misconfiguredBy = (error: unknown): Misconfigured => {
  if (error instanceof ExportError && error.code === 'config_invalid')
    return { kind: 'misconfigured', diagnostics: error.diagnostics }
  throw error
}

/** A source by id, or why it cannot be used. */
export const configuredSource = async (env: Env, sourceId: string): Promise<Source | Misconfigured> => {
  try {
    const source = await configOf(env).source(sourceId)
    return source ?? { kind: 'misconfigured', diagnostics: `The source ${sourceId} is no longer configured.` }
  } catch (error) {
    return misconfiguredBy(error)
  }
}
