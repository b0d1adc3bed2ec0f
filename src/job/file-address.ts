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
const pathOf = (url: string): string => url.split(/[?#]/, 1)[0] ?? url

/** Path → URL, for the paths that stand for one URL alone. */
const byUniquePath = (urls: readonly string[]): ReadonlyMap<string, string> => {
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

/**
 * Which URLs rows have now. A file is the same when its address is, or its path, should the query be signed in a way that we do not know;
 * where paths do not tell files apart either, the same number of files in the same order are the same files. Else the old URL stays.
 *
 * @param rows In order. One file of the vendor's may be several. @param urls Of a manifest that was read again. @returns Row → URL.
 */
export const freshUrls = (
  rows: readonly { readonly n: number; readonly url: string }[],
  urls: readonly string[],
): ReadonlyMap<number, string> => {
  const files = Map.groupBy(rows, ({ url }) => addressOf(url))
  const fresh = new Map(urls.map((url) => [addressOf(url), url]))
  const listed = [...fresh.values()]
  const freshByPath = byUniquePath(listed)
  const known = byUniquePath([...files.keys()])
  const found = new Map<number, string>()
  for (const [index, [address, same]] of [...files].entries()) {
    const path = pathOf(address)
    const byPath = known.has(path) ? freshByPath.get(path) : undefined
    const url = fresh.get(address) ?? byPath ?? (files.size === listed.length ? listed[index] : undefined)
    if (url !== undefined) for (const { n } of same) found.set(n, url)
  }
  return found
}
