/* What a response tells of its bytes, and whether a file can be taken up in its midst [RFC 9110 §13.1.5, §14]. */

/** The length of the bytes that will be read; `undefined` when unknown or of the encoded form. */
export const knownLength = (response: Response): number | undefined => {
  const value = response.headers.get('Content-Length')
  return value !== null && /^\d+$/.test(value) && response.headers.get('Content-Encoding') === null ? Number(value) : undefined
}

/** The strong `ETag` of a body that comes as it is; null when it could not be continued by `Range`. */
export const validatorOf = (response: Response): string | null => {
  const tag = response.headers.get('ETag')
  return tag !== null && /^"[^"]*"$/.test(tag) && response.headers.get('Content-Encoding') === null ? tag : null
}

/** Whether a response is what was asked for by `Range`: everything from this offset on, of a file as long as before. */
export const continues = (response: Response, offset: number, length: number | null): boolean => {
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers.get('Content-Range') ?? '') ?? []
  const whole = total === '*' ? length : Number(total)
  return (
    response.status === 206 &&
    Number(first) === offset &&
    (length === null || whole === length) &&
    (whole === null || Number(last) === whole - 1)
  )
}
