import { exportSPKI, importJWK, SignJWT } from 'jose'
import type { CryptoKey } from 'jose'
import { NOW_SECONDS, PUBLIC_BASE, unsecured, type TestKey } from '../auth/support.ts'
import { ISSUER } from './network.ts'

type Parts = Readonly<Record<string, unknown>>

const claimsFor = (clientId: string, scope: string): Parts => ({
  client_id: clientId,
  scope,
  iss: PUBLIC_BASE,
  aud: PUBLIC_BASE,
  sub: clientId,
  iat: NOW_SECONDS,
  exp: NOW_SECONDS + 300,
  jti: crypto.randomUUID(),
})

/** An access token as we make them, with parts of it replaced. */
export const ourToken = async (
  key: TestKey,
  clientId: string,
  scope: string,
  { claims = {}, header = {} }: { readonly claims?: Parts; readonly header?: Parts } = {},
): Promise<string> =>
  new SignJWT({ ...claimsFor(clientId, scope), ...claims })
    .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'at+jwt', ...header })
    .sign(key.signs)

/** One of the trusted issuer. */
export const issuerToken = (key: TestKey, clientId: string, scope: string, claims: Parts = {}): Promise<string> =>
  ourToken(key, clientId, scope, { claims: { iss: ISSUER, ...claims } })

export const unsignedToken = (key: TestKey, clientId: string): string =>
  unsecured({ alg: 'none', kid: key.kid, typ: 'at+jwt' }, claimsFor(clientId, 'system/*.rs'))

const signedWith = (secret: Uint8Array, key: TestKey, clientId: string): Promise<string> =>
  new SignJWT({ ...claimsFor(clientId, 'system/*.rs') })
    .setProtectedHeader({ alg: 'HS256', kid: key.kid, typ: 'at+jwt' })
    .sign(secret)

/** Signed with what everybody can read at `/auth/jwks`, taken for a shared secret: as PEM. */
export const hmacWithPem = async (key: TestKey, clientId: string): Promise<string> => {
  const open = (await importJWK(key.open, key.alg, { extractable: true })) as CryptoKey
  return signedWith(new TextEncoder().encode(await exportSPKI(open)), key, clientId)
}

/** The same as a JWK. */
export const hmacWithJwk = (key: TestKey, clientId: string): Promise<string> =>
  signedWith(new TextEncoder().encode(JSON.stringify(key.open)), key, clientId)
