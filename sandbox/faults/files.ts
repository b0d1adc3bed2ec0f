import { constants, crc32, deflateRawSync } from 'node:zlib'
import { exportFile, type ExportFile } from '../export-files.ts'
import type { Chunks } from '../ndjson.ts'

const MOST_LINES_OF_A_TINY_FILE = 3
const HUGE_LINE_BYTES = 512
const HUGE_BLOCK_LINES = 2048

const patient = (id: string, text: string): string => JSON.stringify({ resourceType: 'Patient', id, language: text })

/** What the tiny file at this index of a manifest holds: one to three Patients. */
export const tinyFileContent = (index: number): Buffer => {
  const count = 1 + (index % MOST_LINES_OF_A_TINY_FILE)
  return Buffer.from(Array.from({ length: count }, (_, line) => `${patient(`tiny-${index}-${line}`, 'en')}\n`).join(''))
}

export const tinyFiles = (files: number): readonly ExportFile[] =>
  Array.from({ length: files }, (_, index) =>
    exportFile({
      type: 'Patient',
      resources: 1 + (index % MOST_LINES_OF_A_TINY_FILE),
      version: `tiny-${index}`,
      open: async function* () {
        yield tinyFileContent(index)
      },
    }),
  )

const hugeLine = (index: number): string => {
  const id = `huge-${String(index).padStart(5, '0')}`
  const bare = JSON.stringify({ resourceType: 'Patient', id, name: [{ text: '' }] })
  const padding = 'x'.repeat(HUGE_LINE_BYTES - bare.length - 1)
  return `${JSON.stringify({ resourceType: 'Patient', id, name: [{ text: padding }] })}\n`
}

/** Whole lines of one length, made once. */
let preparedBlock: Buffer | undefined
const block = (): Buffer =>
  (preparedBlock ??= Buffer.from(Array.from({ length: HUGE_BLOCK_LINES }, (_, index) => hugeLine(index)).join('')))

const hugeLines = (bytes: number): number => Math.max(1, Math.round(bytes / HUGE_LINE_BYTES))

/** How long the file that is asked for as about `bytes` really is. */
export const hugeFileBytes = (bytes: number): number => hugeLines(bytes) * HUGE_LINE_BYTES

/** The content of that file: one block of lines over and over, so that it costs nothing to make. */
export async function* hugeFileContent(bytes: number): AsyncGenerator<Buffer> {
  let left = hugeFileBytes(bytes)
  for (; left > 0; left -= block().length) yield left < block().length ? block().subarray(0, left) : block()
}

// RFC 1952 §2.3: no name, no time, system not known.
const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])

/** A piece of a deflate stream that refers to nothing before it, so that pieces can be joined; `isLast` ends the stream. */
const deflated = (bytes: Buffer, isLast: boolean): Buffer =>
  deflateRawSync(bytes, { level: 6, finishFlush: isLast ? constants.Z_FINISH : constants.Z_FULL_FLUSH })

/** The content of a huge file as one gzip member; only its checksum is computed as it goes. */
export async function* hugeFileCompressed(bytes: number): AsyncGenerator<Buffer> {
  yield GZIP_HEADER
  const compressedBlock = deflated(block(), false)
  let checksum = 0
  for await (const chunk of hugeFileContent(bytes)) {
    checksum = crc32(chunk, checksum)
    yield chunk.length === block().length ? compressedBlock : deflated(chunk, false)
  }
  const trailer = Buffer.alloc(8)
  trailer.writeUInt32LE(checksum, 0)
  trailer.writeUInt32LE(hugeFileBytes(bytes) % 2 ** 32, 4)
  yield Buffer.concat([deflated(Buffer.alloc(0), true), trailer])
}

export const hugeFile = (bytes: number, isCompressed: boolean): ExportFile =>
  exportFile({
    type: 'Patient',
    resources: hugeLines(bytes),
    version: `huge-${hugeFileBytes(bytes)}`,
    open: (): Chunks => hugeFileContent(bytes),
    bytes: hugeFileBytes(bytes),
    ...(isCompressed ? { openCompressed: (): Chunks => hugeFileCompressed(bytes) } : {}),
  })
