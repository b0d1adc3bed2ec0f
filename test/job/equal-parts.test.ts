import { describe, expect, it } from 'vitest'
import { equalParts } from '../../src/job/equal-parts.ts'

/** Bytes that tell where they stood. */
const bytesFrom = (start: number, length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => (start + index) % 251)

async function* chunksOf(lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  let start = 0
  for (const length of lengths) {
    yield bytesFrom(start, length)
    start += length
  }
}

describe('equalParts', () => {
  it.each([
    [[], []],
    [[0, 0], []],
    [[1], [1]],
    [[8], [8]],
    [[9], [8, 1]],
    [
      [8, 8],
      [8, 8],
    ],
    [
      [3, 3, 3],
      [8, 1],
    ],
    [
      [3, 8, 8],
      [8, 8, 3],
    ],
    [
      [20, 4],
      [8, 8, 8],
    ],
    [[0, 7, 0, 1, 0], [8]],
    [
      [8, 3, 8, 5, 8],
      [8, 8, 8, 8],
    ],
  ])('chunks of %j bytes come out as %j', async (lengths, expected) => {
    const parts: Uint8Array[] = []
    // Whoever uploads a part still has it while the next is read.
    let before: Uint8Array | undefined
    for await (const part of equalParts(chunksOf(lengths), 8)) {
      if (before) parts.push(before.slice())
      before = part
    }
    if (before) parts.push(before.slice())
    expect(parts.map((part) => part.byteLength)).toEqual(expected)
    const total = lengths.reduce((sum, length) => sum + length, 0)
    expect(Uint8Array.from(parts.flatMap((part) => [...part]))).toEqual(bytesFrom(0, total))
  })

  it('gives the source up when nobody reads on', async () => {
    let closed = false
    const source = (async function* () {
      try {
        yield* chunksOf([8, 8, 8])
      } finally {
        closed = true
      }
    })()
    for await (const part of equalParts(source, 8)) if (part.byteLength > 0) break
    expect(closed).toBe(true)
  })
})
