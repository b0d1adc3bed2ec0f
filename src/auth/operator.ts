import { operatorTokenIn } from '../config-parse.ts'
import type { Env } from '../env.ts'
import { ExportError } from '../errors.ts'
import { bearerOf } from './authenticate.ts'

const digestOf = async (text: string): Promise<Uint8Array> =>
  new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))

/** Compares without telling by its time how much was right: digests have one length, and all of both is looked at. */
const isSame = async (one: string, other: string): Promise<boolean> => {
  const [a, b] = [await digestOf(one), await digestOf(other)]
  return a.reduce((difference, byte, index) => difference | (byte ^ (b[index] ?? -1)), 0) === 0
}

/**
 * Whether this is an operator. No client's token is an operator's, whatever its scopes.
 *
 * @returns False where no operator is configured: then there is no such route.
 * @throws ExportError `token_missing`, `token_invalid`; `config_invalid` for a secret that could be guessed.
 */
export const isOperator = async (env: Env, authorization: string | undefined): Promise<boolean> => {
  const expected = operatorTokenIn(env)
  if (expected === undefined) return false
  if (await isSame(bearerOf(authorization), expected)) return true
  throw new ExportError('token_invalid', 'This route takes the OPERATOR_TOKEN of this deployment, and no other token.')
}
