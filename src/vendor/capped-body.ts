import { ExportError } from '../errors.ts'
import { DEFAULT_LIMITS } from './adapter.ts'

/** From the response's header to the end of a body that is parsed, where nothing else is said. */
export const RESPONSE_DEADLINE_MS = DEFAULT_LIMITS.responseSeconds * 1000
/** A server that is silent for so long in the midst of a body that is parsed will not go on. */
export const IDLE_DEADLINE_MS = 30_000
/** Of any body that is parsed whole: token answers, job states, one page of a manifest. */
export const MAX_PARSED_BYTES = 16 * 1024 * 1024
/** Growth of a compressed body. Deflate reaches 1,032 with a constant; JSON and NDJSON of patients 5 to 50. */
export const MAX_EXPANSION = 500
/** What any compressed body may grow to. */
const FREE_BYTES = 1024 * 1024

/** `Content-Length`, of the body as it is encoded; `undefined` when it is absent or no number. */
export const announcedBytes = ({ headers }: Response): number | undefined => {
  const value = headers.get('Content-Length')
  return value !== null && /^\d+$/.test(value) ? Number(value) : undefined
}

/**
 * The most that a body may hold once it is decoded, judged by the length that was announced for its compressed form.
 *
 * @returns Bytes; `Infinity` when it is not compressed, or no length was announced: only a cap of its own then bounds it.
 */
export const mostDecodedBytes = (response: Response): number => {
  const encoding = response.headers.get('Content-Encoding')?.trim().toLowerCase() ?? ''
  const bytes = announcedBytes(response)
  if (encoding === '' || encoding === 'identity' || bytes === undefined) return Infinity
  return mostExpandedBytes(bytes)
}

/** The most that so many compressed bytes may become. */
export const mostExpandedBytes = (bytes: number): number => Math.max(FREE_BYTES, bytes * MAX_EXPANSION)

/**
 * Reads a body whole, under a cap. Whoever sends more than that, ever so slowly, or nothing more, is hung up on.
 *
 * @param maxBytes Of the decoded body.
 * @param deadlineMs To its end. Between two chunks `IDLE_DEADLINE_MS` are the most.
 * @returns The text; '' for no body.
 * @throws ExportError `vendor_manifest_too_large` over `maxBytes`; `vendor_answer_invalid` for a decompression bomb;
 *   `vendor_unreachable` when the body breaks off or does not come in time.
 */
export const readCapped = async (
  response: Response,
  maxBytes = MAX_PARSED_BYTES,
  deadlineMs = RESPONSE_DEADLINE_MS,
): Promise<string> => {
  if (!response.body) return ''
  const mostBytes = mostDecodedBytes(response)
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  // A body that is cancelled for its slowness ends like one that is complete.
  let isLate = false
  const hangUp = (): void => {
    isLate = true
    void reader.cancel().catch(() => undefined)
  }
  const end = setTimeout(hangUp, deadlineMs)
  let idle = setTimeout(hangUp, IDLE_DEADLINE_MS)
  const decoder = new TextDecoder()
  let text = ''
  // Announced as too much, it need not even begin.
  let bytes = (announcedBytes(response) ?? 0) > maxBytes ? Infinity : 0
  try {
    while (bytes <= Math.min(maxBytes, mostBytes)) {
      const { value, done } = await reader.read()
      if (done) break
      clearTimeout(idle)
      idle = setTimeout(hangUp, IDLE_DEADLINE_MS)
      bytes += value.byteLength
      text += decoder.decode(value, { stream: true })
    }
  } catch (cause) {
    throw unfinished(cause)
  } finally {
    clearTimeout(end)
    clearTimeout(idle)
    await reader.cancel().catch(() => undefined)
  }
  if (bytes > maxBytes)
    throw new ExportError('vendor_manifest_too_large', `The source's server sent an answer of more than ${maxBytes} bytes.`)
  if (bytes > mostBytes)
    throw new ExportError(
      'vendor_answer_invalid',
      `The source's server sent an answer that grows more than ${MAX_EXPANSION}fold when it is decompressed.`,
    )
  if (isLate) throw unfinished()
  return text + decoder.decode()
}

const unfinished = (cause?: unknown): ExportError =>
  new ExportError('vendor_unreachable', "The source's server broke off its answer, or did not end it in time.", { cause })
