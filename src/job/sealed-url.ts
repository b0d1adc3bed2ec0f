import { base64url } from 'jose'

/* Addresses of attachments that lie at the vendor, as they stand in our files: sealed, so that no table of them is needed. */

/** What a seal holds. */
export interface Attachment {
  /** The vendor's. */
  readonly url: string
  /** Of the resource that it belongs to. */
  readonly type: string
  /** As the resource tells it. */
  readonly contentType?: string
}

const KEY_BYTES = 32
const IV_BYTES = 12
/** Of a seal, in characters: longer ones would not fit into a URL that every client takes. */
const MAX_SEAL_LENGTH = 8_000

const utf8 = new TextEncoder()

export const newSealKey = (): string => base64url.encode(crypto.getRandomValues(new Uint8Array(KEY_BYTES)))

/**
 * Seals with the key of one job: AES-GCM, whose IV is an HMAC of the content. The same attachment has the same seal each time, so that a
 * file read twice has the same bytes, and two that differ never share an IV [RFC 5297 §3 on synthetic IVs].
 */
export class AttachmentSeal {
  readonly #secret: string
  #keys: Promise<{ readonly seal: CryptoKey; readonly digest: CryptoKey }> | undefined

  /** @param secret As `newSealKey` made it. */
  constructor(secret: string) {
    this.#secret = secret
  }

  /** @returns base64url; `undefined` when it would be too long for a URL. */
  async seal({ url, type, contentType }: Attachment): Promise<string | undefined> {
    const content = utf8.encode(JSON.stringify([url, type, ...(contentType === undefined ? [] : [contentType])]))
    const { seal, digest } = await this.#derived()
    const iv = new Uint8Array(await crypto.subtle.sign('HMAC', digest, content), 0, IV_BYTES)
    const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, seal, content))
    const both = new Uint8Array(IV_BYTES + sealed.byteLength)
    both.set(iv)
    both.set(sealed, IV_BYTES)
    const text = base64url.encode(both)
    return text.length > MAX_SEAL_LENGTH ? undefined : text
  }

  /** @returns `undefined` for anything that this key did not seal. */
  async open(sealed: string): Promise<Attachment | undefined> {
    if (sealed.length > MAX_SEAL_LENGTH || !/^[\w-]+$/.test(sealed)) return undefined
    try {
      const both = base64url.decode(sealed)
      const { seal } = await this.#derived()
      const iv = both.slice(0, IV_BYTES)
      const content = await crypto.subtle.decrypt({ name: 'AES-GCM', iv }, seal, both.slice(IV_BYTES))
      const [url = '', type = '', contentType] = JSON.parse(new TextDecoder().decode(content)) as string[]
      // A second spelling of the same bytes is no seal of ours.
      if (base64url.encode(both) !== sealed) return undefined
      return { url, type, ...(contentType === undefined ? {} : { contentType }) }
    } catch {
      return undefined
    }
  }

  #derived(): Promise<{ readonly seal: CryptoKey; readonly digest: CryptoKey }> {
    return (this.#keys ??= derive(base64url.decode(this.#secret)))
  }
}

const hkdf = (info: string) => ({ name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(0), info: utf8.encode(info) })

const derive = async (secret: Uint8Array): Promise<{ readonly seal: CryptoKey; readonly digest: CryptoKey }> => {
  const key = await crypto.subtle.importKey('raw', secret, 'HKDF', false, ['deriveKey'])
  const [seal, digest] = await Promise.all([
    crypto.subtle.deriveKey(hkdf('seal'), key, { name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']),
    crypto.subtle.deriveKey(hkdf('iv'), key, { name: 'HMAC', hash: 'SHA-256', length: 256 }, false, ['sign']),
  ])
  return { seal, digest }
}
