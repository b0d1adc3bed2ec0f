/* What is used of Node's modules; the compatibility flag `nodejs_compat` brings them into the Workers runtime. */

declare module 'node:buffer' {
  export interface Buffer extends Uint8Array<ArrayBuffer> {
    includes(text: string, from: number, encoding: 'latin1'): boolean
    includes(byte: number, from?: number): boolean
    toString(encoding: 'latin1'): string
  }
  export const Buffer: { from(bytes: ArrayBufferLike, offset: number, length: number): Buffer }
}

declare module 'node:crypto' {
  export interface Hash {
    update(bytes: Uint8Array): Hash
    copy(): Hash
    digest(encoding: 'hex'): string
  }
  export function createHash(algorithm: 'sha256'): Hash
}
