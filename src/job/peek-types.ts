import { resourceTypeOfFirstLine } from '../fhir/ndjson-sniff.ts'
import { RESOURCE_TYPES } from '../fhir/resource-types.ts'
import type { VendorClient } from '../vendor/client.ts'
import { blocksOf } from './blocks.ts'
import type { FileRows } from './file-rows.ts'
import { newReading } from './reading.ts'

const ENOUGH_BYTES = 4096
/** Files that are looked into; more without a type are reported as not to be had. */
const MAX_PEEKS = 1000
/** And for no longer than this: a turn has an end. */
const TURN_MS = 5 * 60_000

/**
 * Finds the type of files whose manifest entry names none, by their first line [N-22]. For files that stay at the vendor: those that
 * come to us tell it as they pass.
 *
 * @param types Types that may be delivered; absent when all may. @param stalledMs The longest that a file's first line may take.
 */
export const peekTypes = async (
  client: VendorClient,
  files: FileRows,
  types: readonly string[] | undefined,
  stalledMs: number,
): Promise<void> => {
  const untilMs = Date.now() + TURN_MS
  for (const { n, url } of files.untyped(MAX_PEEKS)) {
    const type = url === null || Date.now() >= untilMs ? undefined : await typeAt(client, url, stalledMs)
    if (type === undefined) files.update(n, { state: 'failed', reason: 'untyped' })
    else files.update(n, { type, state: types && !types.includes(type) ? 'empty' : 'ready' })
  }
  files.failUntyped()
}

const typeAt = async (client: VendorClient, url: string, stalledMs: number): Promise<string | undefined> => {
  const answer = await client.file(url)
  if (answer.kind !== 'open' || !answer.response.body) return undefined
  const blocks = blocksOf(answer.response.body, ENOUGH_BYTES, newReading(undefined, { stalledMs }))
  try {
    const { value } = await blocks.next()
    const type = value && resourceTypeOfFirstLine(value)
    return type !== undefined && RESOURCE_TYPES.has(type) ? type : undefined
  } catch {
    // A connection that broke, or stalled; the file is reported like one that cannot be had.
    return undefined
  } finally {
    await blocks.return(undefined)
  }
}
