import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/** Signs what a URL grants, with a key that only this sandbox knows. */
export interface UrlSigner {
  sign(granted: string): string
  verify(granted: string, signature: string): boolean
}

const NONCE_BYTES = 9

/** Signatures differ each time, though what they grant is the same. URL-safe. */
export const urlSigner = (): UrlSigner => {
  const key = randomBytes(32)
  const mac = (nonce: string, granted: string): Buffer => createHmac('sha256', key).update(`${nonce} ${granted}`).digest()
  return {
    sign: (granted) => {
      const nonce = randomBytes(NONCE_BYTES).toString('hex')
      return `${nonce}${mac(nonce, granted).toString('hex')}`
    },
    verify: (granted, signature) => {
      const nonce = signature.slice(0, NONCE_BYTES * 2)
      const given = Buffer.from(signature.slice(NONCE_BYTES * 2), 'hex')
      const right = mac(nonce, granted)
      return given.length === right.length && timingSafeEqual(given, right)
    },
  }
}
