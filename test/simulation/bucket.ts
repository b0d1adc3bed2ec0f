import { SMALL } from './small.ts'
import { SimulatedStream, streamOfChunks } from './streams.ts'
import type { World } from './world.ts'

type Bytes = Uint8Array<ArrayBuffer>
type Given = Bytes | string | SimulatedStream

interface Upload {
  readonly key: string
  readonly parts: Map<number, Bytes>
  /** Nobody was ever told of it: it cannot be ended by who began it. */
  isUnknown: boolean
  /** It was told to end and R2 failed: R2 forgets it by itself in some days. */
  isAbandoned: boolean
}

const joined = (chunks: readonly Bytes[]): Bytes => new Uint8Array(Buffer.concat(chunks))

/** A buffer is not copied before it is sent: whoever writes into it meanwhile spoils it. */
const bytesOf = async (given: Given): Promise<Bytes> => {
  if (typeof given === 'string') return new Uint8Array(new TextEncoder().encode(given))
  if (!(given instanceof SimulatedStream)) return given
  const chunks: Bytes[] = []
  for await (const chunk of given) chunks.push(chunk)
  return joined(chunks)
}

/** R2: refuses unequal parts, forgets nothing, and fails now and then, before or after it has done what was asked. */
export class Bucket {
  readonly objects = new Map<string, Bytes>()
  readonly uploads = new Map<string, Upload>()
  readonly #world: World
  #uploadIds = 0

  constructor(world: World) {
    this.#world = world
  }

  async put(key: string, given: Given): Promise<unknown> {
    const bytes = await bytesOf(given)
    return this.#ask(`put ${key} of ${bytes.byteLength} bytes`, () => {
      this.objects.set(key, bytes.slice())
      return { key, size: bytes.byteLength }
    })
  }

  get(key: string, options: { readonly range?: { readonly offset?: number; readonly length?: number } } = {}): Promise<unknown> {
    return this.#ask(`get ${key}`, () => {
      const object = this.objects.get(key)
      if (!object) return null
      const { offset = 0, length } = options.range ?? {}
      const bytes = object.slice(offset, length === undefined ? undefined : offset + length)
      return { key, size: object.byteLength, body: streamOfChunks([bytes]), arrayBuffer: async () => bytes.buffer }
    })
  }

  head(key: string): Promise<unknown> {
    return this.#ask(`head ${key}`, () => {
      const object = this.objects.get(key)
      return object ? { key, size: object.byteLength } : null
    })
  }

  delete(keys: string | readonly string[]): Promise<unknown> {
    return this.#ask(`delete ${String(keys)}`, () => {
      for (const key of typeof keys === 'string' ? [keys] : keys) this.objects.delete(key)
    })
  }

  list({ prefix = '', limit = 1000 }: { readonly prefix?: string; readonly limit?: number }): Promise<unknown> {
    return this.#ask(`list ${prefix}`, () => {
      const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix)).toSorted()
      return { objects: keys.slice(0, limit).map((key) => ({ key })), truncated: keys.length > limit, delimitedPrefixes: [] }
    })
  }

  createMultipartUpload(key: string): Promise<unknown> {
    const uploadId = `upload-${(this.#uploadIds += 1)}`
    const upload: Upload = { key, parts: new Map(), isUnknown: true, isAbandoned: false }
    const owner = this.#world.owner
    return this.#ask(
      `create ${uploadId} of ${key}`,
      () => {
        this.uploads.set(uploadId, upload)
        upload.isUnknown = !owner.alive
        return this.resumeMultipartUpload(key, uploadId)
      },
      () => void (upload.isUnknown = true),
    )
  }

  resumeMultipartUpload(key: string, uploadId: string) {
    return {
      key,
      uploadId,
      uploadPart: async (partNumber: number, given: Given): Promise<unknown> => {
        const bytes = await bytesOf(given)
        return this.#ask(`part ${partNumber} of ${uploadId}, ${bytes.byteLength} bytes`, () => {
          this.#upload(uploadId).parts.set(partNumber, bytes.slice())
          return { partNumber, etag: `${uploadId}-${partNumber}-${bytes.byteLength}` }
        })
      },
      abort: () => {
        const upload = this.uploads.get(uploadId)
        if (upload) upload.isAbandoned = true
        return this.#ask(`abort ${uploadId}`, () => void this.uploads.delete(uploadId))
      },
      complete: (parts: readonly { readonly partNumber: number; readonly etag: string }[]) =>
        this.#ask(`complete ${uploadId}`, () => {
          const upload = this.#upload(uploadId)
          const chunks = parts.map(({ partNumber, etag }) => {
            const part = upload.parts.get(partNumber)
            if (!part || etag !== `${uploadId}-${partNumber}-${part.byteLength}`) throw new Error('a part is missing')
            return part
          })
          const size = chunks[0]?.byteLength ?? 0
          const unequal = chunks.slice(0, -1).some((chunk) => chunk.byteLength !== size || size < SMALL.MIN_PART_BYTES)
          if (unequal || (chunks.at(-1)?.byteLength ?? 0) > size) throw new Error('parts must be of one size')
          this.uploads.delete(uploadId)
          this.objects.set(key, joined(chunks))
          return { key }
        }),
    }
  }

  #upload(uploadId: string): Upload {
    const upload = this.uploads.get(uploadId)
    if (!upload) throw new Error('The specified multipart upload does not exist. (10024)')
    return upload
  }

  /** One exchange: fault 1 fails before anything was done, 2 after. */
  #ask<T>(label: string, work: () => T, failed?: () => void): Promise<T> {
    const world = this.#world
    const { owner } = world
    return new Promise((resolve, reject) => {
      world.push({
        owner,
        label: `R2 ${label}`,
        outgoing: true,
        canFail: true,
        run: (fault) => {
          const fails = fault > 0 && fault % 3 !== 0
          try {
            const result = fails && fault % 3 === 1 ? undefined : work()
            if (fails) failed?.()
            if (!owner.alive) return
            if (fails) reject(new Error('R2 failed'))
            else resolve(result as T)
          } catch (error) {
            if (owner.alive) reject(error)
          }
        },
      })
    })
  }
}
