import { generateKeyPair, jwtVerify, SignJWT } from 'jose'
import { expect, it } from 'vitest'
import { decoyKey, signatureBytes } from '../../src/auth/decoy.ts'

it.each([
  ['ES384', undefined, 96],
  ['RS384', 2048, 256],
  ['RS384', 3072, 384],
  ['RS384', 4096, 512],
] as const)(
  'a stand-in for an unknown %s key of %s bits checks a signature as the runtime checks any, and refuses it [AU-08]',
  async (alg, bits, bytes) => {
    const { privateKey } = await generateKeyPair(alg, bits === undefined ? {} : { modulusLength: bits })
    const token = await new SignJWT({}).setProtectedHeader({ alg }).sign(privateKey)
    expect(signatureBytes(token)).toBe(bytes)
    const key = await decoyKey(alg, bytes)
    if (!key) throw new Error('there is no stand-in')
    await expect(jwtVerify(token, key)).rejects.toMatchObject({ code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' })
  },
)

it.each([0, 128, 255, 1024])(
  'there is none for an RSA signature of %d bytes, which any key in use refuses at once',
  async (bytes) => {
    expect(await decoyKey('RS384', bytes)).toBeUndefined()
  },
)
