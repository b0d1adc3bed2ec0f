import { describe, expect, it } from 'vitest'
import { gunzipped } from '../../src/job/gunzip.ts'

const compressed = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> =>
  new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream('gzip'))).arrayBuffer())

/** Cut into chunks that all lie in one buffer, as a body's do. */
async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(size)
  for (let from = 0; from < bytes.byteLength; from += size) {
    const part = bytes.subarray(from, from + size)
    buffer.set(part)
    yield buffer.subarray(0, part.byteLength)
  }
}

const read = async (chunks: AsyncGenerator<Uint8Array>): Promise<Uint8Array> => {
  const parts: Uint8Array<ArrayBuffer>[] = []
  for await (const chunk of gunzipped(chunks)) parts.push(chunk.slice())
  return new Uint8Array(await new Blob(parts).arrayBuffer())
}

const random = (bytes: number): Uint8Array<ArrayBuffer> => {
  const given = new Uint8Array(bytes)
  for (let from = 0; from < bytes; from += 65_536) crypto.getRandomValues(given.subarray(from, from + 65_536))
  return given
}

describe('gunzipped', () => {
  it.each([1, 100, 4_096, 65_536, 1_000_000])('gives what was compressed, in chunks of %i [N-27]', async (size) => {
    const noise = random(size < 1_000 ? 500 : 300_000)
    const given = new Uint8Array([...noise, ...new Uint8Array(200_000)])
    expect(await read(cut(await compressed(given), size))).toEqual(given)
  })

  it('fails for what is cut, and for what is no gzip', async () => {
    const bytes = await compressed(random(100_000))
    await expect(read(cut(bytes.subarray(0, 50_000), 4_096))).rejects.toThrow(/gzip|decompress/i)
    await expect(read(cut(random(50_000), 4_096))).rejects.toThrow(/decompress|gzip/i)
  })

  it('asks for no more while nobody takes what there is', async () => {
    const bytes = await compressed(new Uint8Array(100 * 1024 * 1024))
    let asked = 0
    const counted = async function* () {
      for await (const chunk of cut(bytes, 1_024)) {
        asked += chunk.byteLength
        yield chunk
      }
    }
    const chunks = gunzipped(counted())
    await chunks.next()
    expect(asked).toBeLessThan(bytes.byteLength / 2)
    await chunks.return(undefined)
  })

  it('tells the source when nobody wants the rest', async () => {
    let isEnded = false
    const source = (async function* () {
      try {
        yield* cut(await compressed(random(500_000)), 1_024)
      } finally {
        isEnded = true
      }
    })()
    for await (const chunk of gunzipped(source)) if (chunk.byteLength > 0) break
    expect(isEnded).toBe(true)
  })
})
