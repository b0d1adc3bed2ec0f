import { announcedBytes } from '../vendor/capped-body.ts'
import type { ResumeFrom } from '../vendor/client.ts'

/* What a response tells of its bytes, and whether a file can be taken up in its midst [RFC 9110 §13.1.5, §14]. */

/** The length of the bytes that will be read; `undefined` when unknown or of the encoded form. */
export const knownLength = (response: Response): number | undefined =>
  response.headers.get('Content-Encoding') === null ? announcedBytes(response) : undefined

/** The strong `ETag` of a body that comes as it is; null when it could not be continued by `Range`. */
export const validatorOf = (response: Response): string | null => {
  const tag = response.headers.get('ETag')
  return tag !== null && /^"[^"]*"$/.test(tag) && response.headers.get('Content-Encoding') === null ? tag : null
}

/**
 * How long the file is whose rest a response brings; `undefined` when it is not what was asked for by `Range`: everything from this
 * offset on, as it is, of the same version and of a file as long as before. Its `ETag` is looked at too, since some servers know
 * `Range` and not `If-Range`.
 *
 * @param length As announced before; null when it was not.
 */
export const continuedLength = (
  response: Response,
  { offset, validator }: ResumeFrom,
  length: number | null,
): number | undefined => {
  if (response.status !== 206 || validatorOf(response) !== validator) return undefined
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers.get('Content-Range') ?? '') ?? []
  // With `*` only an earlier answer can tell whether this is all.
  const whole = total === '*' ? length : Number(total)
  const isRest = Number(first) === offset && Number(last) + 1 === whole && (length ?? whole) === whole
  return isRest ? whole : undefined
}
