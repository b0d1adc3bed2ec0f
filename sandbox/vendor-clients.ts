import { randomBytes, randomUUID } from 'node:crypto'
import { exportJWK, generateKeyPair, type JWK } from 'jose'
import type { RegisteredClient } from './client-authentication.ts'
import type { SigningAlg } from './config.ts'

/** A client with what it keeps to itself. */
export interface ClientWithSecrets extends RegisteredClient {
  readonly secret: string
  readonly privateKeys: Readonly<Record<SigningAlg, JWK>>
}

/** The clients that a fake vendor knows: the facade, and a stranger with the same rights. */
export interface VendorClients {
  readonly primary: ClientWithSecrets
  readonly second: ClientWithSecrets
}

export type PrivateKeys = Readonly<Record<SigningAlg, JWK>>

const ALGS: readonly SigningAlg[] = ['RS384', 'ES384']

const newKey = async (alg: SigningAlg): Promise<JWK> => {
  const { privateKey } = await generateKeyPair(alg, { extractable: true })
  return { ...(await exportJWK(privateKey)), alg, kid: randomUUID() }
}

/** Private JWKs with `kid` and `alg`; those given are taken as they are. */
export const privateKeys = async (given: Partial<PrivateKeys> = {}): Promise<PrivateKeys> => {
  const [RS384, ES384] = await Promise.all([given.RS384 ?? newKey('RS384'), given.ES384 ?? newKey('ES384')])
  return { RS384, ES384 }
}

const publicPart = ({ d: _d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, oth: _oth, ...publicMembers }: JWK): JWK => publicMembers

const client = (clientId: string, keys: PrivateKeys): ClientWithSecrets => ({
  clientId,
  secret: randomBytes(24).toString('base64url'),
  keys: ALGS.map((alg) => publicPart(keys[alg])),
  privateKeys: keys,
})

export const vendorClients = (primary: PrivateKeys, second: PrivateKeys): VendorClients => ({
  primary: client('bulkhead', primary),
  second: client('stranger', second),
})
