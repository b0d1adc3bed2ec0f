import type { Context } from 'hono'
import { ExportError } from '../errors.ts'
import { attachmentStream } from '../job/file-stream.ts'
import { attachmentTest, mediaTypeOf } from '../job/row-context.ts'
import { log, nameOf } from '../log.ts'
import { vendorClientOf } from '../source/gate.ts'
import { mostDecodedBytes } from '../vendor/capped-body.ts'
import { blockMsOf, subjectOf } from '../vendor/source.ts'
import { jobCallerOf, jobNotFound, jobOf, sourceOf, type App } from './context.ts'
import { unavailable } from './files.ts'
import { jobIdOf } from './status.ts'

/** Says nothing of what the bytes are. */
const ANY = 'application/octet-stream'
/** What a server may answer with a Binary for. */
const FHIR = /^application\/(?:fhir\+)?(?:json|xml)\b/

/** Nothing of the vendor's header comes along, and no browser shows what it gets. */
const headersFor = (contentType: string): Record<string, string> => ({
  'Content-Type': contentType,
  'Content-Disposition': 'attachment',
  'Cache-Control': 'no-store, private',
})

/**
 * An attachment that lies at the vendor, fetched with our token. What it is stands sealed in its URL; a seal that this job did not make is as
 * if there were no such export.
 *
 * @see Bulk Data Output File Request, Attachments [FI-14], [AU-17]
 */
export const attachment = async (c: Context<App>): Promise<Response> => {
  const source = await sourceOf(c)
  const jobId = jobIdOf(c)
  const answer = await jobOf(c.env, jobId).attachment(jobCallerOf(c, source), c.req.param('sealed') ?? '')
  if (answer.kind === 'absent') throw jobNotFound()
  if (answer.kind === 'forbidden')
    throw new ExportError(
      'scope_insufficient',
      'The token does not cover the resource that this attachment belongs to. Use one with the scopes of the kick-off.',
    )
  const client = vendorClientOf(c.env, source)
  // Trusted when it was sealed; since then an operator may have thought better of it.
  if (!attachmentTest(source, client)(answer.url)) throw jobNotFound()
  if (subjectOf(source) !== answer.subject) throw unavailable()
  if (c.req.method === 'HEAD') return new Response(null, { headers: headersFor(answer.contentType ?? ANY) })
  const had = await client.attachment(answer.url, answer.contentType)
  if (had.kind !== 'open' || !had.response.body) throw unavailable(had)
  const { response } = had
  const told = response.headers.get('Content-Type')
  const options = { stalledMs: blockMsOf(source), maxBytes: mostDecodedBytes(response) }
  const stream = await attachmentStream(had.response.body, FHIR.test(told ?? ''), options).catch((error: unknown) => {
    log('warn', { event: 'attachment.broke_off', jobId, sourceId: source.id, error: nameOf(error) })
    return undefined
  })
  if (!stream) throw unavailable()
  // What a server says of every file is less than what the resource says of this one.
  const types = [stream.isWrapped ? stream.contentType : told === ANY ? null : told, answer.contentType].map(mediaTypeOf)
  return new Response(stream.body, { headers: headersFor(types.find((type) => type !== undefined) ?? ANY) })
}
