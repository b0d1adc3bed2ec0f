/** What a client may be sent. */
export interface Encodings {
  /** The better one for this client; `none`: it takes neither. */
  readonly coding: 'identity' | 'gzip' | 'none'
  /** It also takes the bytes as they are, which `Range` is about. */
  readonly identity: boolean
}

/**
 * Which of the two codings that we have a client wants. gzip must be named, or be covered by `*`; identity is always acceptable unless it is
 * ruled out, by name or by `*;q=0`. Where both weigh the same it is gzip. A weight that is none makes its coding as if it were not there.
 *
 * @param header `Accept-Encoding`; absent: identity, since a client that says nothing may not decode anything.
 * @see RFC 9110 §12.5.3; Bulk Data Output File Request [FI-10]
 */
export const parseEncodings = (header: string | null): Encodings => {
  const weights = new Map<string, number>()
  for (const item of (header ?? '').toLowerCase().split(',')) {
    const [coding = '', ...parameters] = item.split(';').map((part) => part.trim())
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? '1'
    if (coding !== '' && WEIGHT.test(weight)) weights.set(coding, Number(weight))
  }
  const gzip = weights.get('gzip') ?? weights.get('x-gzip') ?? weights.get('*') ?? 0
  const named = weights.get('identity') ?? weights.get('*')
  const identity = named !== 0
  if (gzip > 0 && gzip >= (named ?? 0)) return { coding: 'gzip', identity }
  return { coding: identity ? 'identity' : 'none', identity }
}

const WEIGHT = /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/
