/** Bytes to send: `full` for no usable range, `unsatisfiable` for one beyond the end. */
export type RangeAnswer =
  | { readonly kind: 'full' }
  | { readonly kind: 'unsatisfiable' }
  | { readonly kind: 'part'; readonly offset: number; readonly length: number }

/**
 * Reads `Range` for a representation of `size` bytes. One range of bytes is served; of several the whole is, which RFC 9110 allows.
 *
 * @param header `Range`; absent or malformed: the whole.
 * @param ifRange `If-Range`; a range counts only for the representation that it names.
 * @see RFC 9110 §14.2, FI-15
 */
export const parseRange = (header: string | null, ifRange: string | null, etag: string, size: number): RangeAnswer => {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.replaceAll(' ', '') ?? '') ?? []
  if ((first === '' && last === '') || (ifRange !== null && ifRange !== etag)) return { kind: 'full' }
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? { kind: 'unsatisfiable' } : { kind: 'part', offset: size - length, length }
  }
  const offset = Number(first)
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (last !== '' && Number(last) < offset) return { kind: 'full' }
  return offset >= size ? { kind: 'unsatisfiable' } : { kind: 'part', offset, length: end - offset + 1 }
}

/** Whether `If-None-Match` names a tag. Comparison is weak, as RFC 9110 §13.1.2 wants. */
export const matchesTag = (header: string | null, etag: string): boolean =>
  header !== null && (header.trim() === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag))
