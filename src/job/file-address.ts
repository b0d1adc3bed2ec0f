/* What makes a file the same file when its URL is signed anew. */

/** Parameters that sign a URL, or say until when: those of S3, Google, Azure, CloudFront, and of servers that sign in their manner [N-25]. */
const SIGNATURE =
  /^(x-amz-.+|x-goog-.+|awsaccesskeyid|googleaccessid|signature|policy|key-pair-id|expires|sig|se|st|sp|sv|sr|skoid|sktid|skt|ske|sks|skv)$/i

/** A URL without what signs it. Not meant to be fetched. */
export const addressOf = (url: string): string => {
  const [path = '', query = ''] = url.split('#', 1)[0]?.split(/\?(.*)/s) ?? []
  const kept = query.split('&').filter((pair) => pair !== '' && !SIGNATURE.test(pair.split('=', 1)[0] ?? ''))
  return kept.length === 0 ? path : `${path}?${kept.join('&')}`
}

/** A URL without its query. */
export const pathOf = (url: string): string => url.split(/[?#]/, 1)[0] ?? url

/** Path → URL, for the paths that stand for one URL alone. */
export const byUniquePath = (urls: readonly string[]): ReadonlyMap<string, string> => {
  const unique = new Map<string, string>()
  const repeated = new Set<string>()
  for (const url of urls) {
    const path = pathOf(url)
    if (unique.has(path)) repeated.add(path)
    unique.set(path, url)
  }
  for (const path of repeated) unique.delete(path)
  return unique
}
