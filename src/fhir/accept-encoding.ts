/**
 * Whether a client wants gzip: named, or covered by `*`, and not with `q=0`.
 *
 * @param header `Accept-Encoding`; absent: identity, since a client that says nothing may not decode anything.
 * @see RFC 9110 §12.5.3, FI-10
 */
export const parseEncodings = (header: string | null): { readonly gzip: boolean } => {
  const weights = new Map<string, number>()
  for (const item of (header ?? '').toLowerCase().split(',')) {
    const [coding = '', ...parameters] = item.split(';').map((part) => part.trim())
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2)
    if (coding !== '') weights.set(coding, weight === undefined ? 1 : Number(weight))
  }
  const gzip = weights.get('gzip') ?? weights.get('x-gzip') ?? weights.get('*') ?? 0
  return { gzip: gzip > 0 && gzip >= (weights.get('identity') ?? 0) }
}
