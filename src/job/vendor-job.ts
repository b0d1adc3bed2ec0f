import { ExportError } from '../errors.ts'
import type { ParsedManifest } from '../fhir/manifest.ts'
import type { VendorClient } from '../vendor/client.ts'
import type { KickoffOutcome, StatusOutcome, Trace } from '../vendor/normalise.ts'
import { refusalOf, REFUSED_CREDENTIAL, VENDOR_FAILED } from './failures.ts'
import type { Job, JobEvent } from './model.ts'
import { deliverable } from './deliverable.ts'
import type { Reread } from './url-refresher.ts'

/** Pages of a vendor's manifest that are followed; a longer chain is a loop [N-23]. */
const MAX_PAGES = 10_000
/** Files whose URLs are had anew in one go; they are held in memory together. */
const MAX_REFRESHED_FILES = 50_000
/** Sends the kick-off and tells what became of it. */
export const kickoffEvent = async (client: VendorClient, job: Job): Promise<JobEvent> => {
  const { level, groupId, params } = job
  const asked = job.asked ?? { level, ...(groupId === undefined ? {} : { groupId }) }
  let outcome: KickoffOutcome
  try {
    outcome = await client.kickoff({ ...asked, params })
  } catch (error) {
    if (!(error instanceof ExportError)) throw error
    // Thrown before anything was sent.
    if (error.code === 'vendor_unreachable') return { kind: 'kickoff-busy', about: 'source', ...tokenWait(error) }
    return { kind: 'kickoff-refused', failure: { code: error.code, diagnostics: error.diagnostics } }
  }
  switch (outcome.kind) {
    case 'accepted': {
      const { statusUrl, retryAfterMs, vendorClockMs, trace } = outcome
      return {
        kind: 'kickoff-accepted',
        statusUrl,
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
        ...(vendorClockMs === undefined ? {} : { vendorClockMs }),
        trace,
      }
    }
    case 'busy':
      return { kind: 'kickoff-busy', about: outcome.about, ...wait(outcome) }
    case 'rejected':
      return { kind: 'kickoff-refused', failure: refusalOf(outcome.status, level), trace: outcome.trace }
    case 'unauthorized':
      return { kind: 'kickoff-refused', failure: REFUSED_CREDENTIAL }
    case 'ambiguous':
      return { kind: 'kickoff-ambiguous' }
  }
}

/** What takes in a finished manifest. */
export interface ManifestSink {
  /** One page, as it comes. */
  files(page: ParsedManifest, isFirst: boolean): void
  /** All pages are in. */
  settled(): Promise<void>
}

/** Asks for the state of the vendor job and tells what it means for ours. */
export const statusEvent = async (client: VendorClient, job: Job, sink: ManifestSink): Promise<JobEvent> => {
  if (job.statusUrl === undefined) return { kind: 'lost' }
  try {
    const outcome = await client.status(job.statusUrl)
    switch (outcome.kind) {
      case 'running':
        return { kind: 'still-running', ...wait(outcome), progress: outcome.progress }
      case 'unclear':
        return { kind: 'unclear', cause: outcome.cause, ...wait(outcome) }
      case 'lost':
        return { kind: 'lost' }
      case 'unauthorized':
        return { kind: 'vendor-failed', failure: REFUSED_CREDENTIAL }
      case 'failed':
        return { kind: 'vendor-failed', failure: VENDOR_FAILED, trace: outcome.trace }
      case 'complete':
        return await finished(client, outcome, sink)
    }
  } catch (error) {
    return eventOf(error)
  }
}

const finished = async (
  client: VendorClient,
  outcome: Extract<StatusOutcome, { kind: 'complete' }>,
  sink: ManifestSink,
): Promise<JobEvent> => {
  let isFirst = true
  for await (const page of pagesFrom(client, outcome.manifest)) {
    sink.files(page, isFirst)
    isFirst = false
  }
  await sink.settled()
  const { expiresMs, trace } = outcome
  const { transactionTimeMs } = outcome.manifest
  return {
    kind: 'finished',
    ...(transactionTimeMs === undefined ? {} : { transactionTimeMs }),
    ...(expiresMs === undefined ? {} : { expiresMs }),
    trace,
  }
}

/** A manifest and the pages that follow it. @throws ExportError `vendor_unreachable` when a page cannot be read now. */
async function* pagesFrom(client: VendorClient, first: ParsedManifest): AsyncGenerator<ParsedManifest> {
  let page = first
  const read = new Set<string>()
  for (;;) {
    yield page
    if (page.nextUrl === undefined) return
    if (read.has(page.nextUrl) || read.size >= MAX_PAGES)
      throw new ExportError('vendor_answer_invalid', "The source's manifest does not end.")
    const next = await client.status(page.nextUrl)
    if (next.kind !== 'complete')
      throw new ExportError('vendor_unreachable', "A page of the source's manifest could not be read.")
    read.add(page.nextUrl)
    page = next.manifest
  }
}

/** The manifest read once more; `urls` are those of all deliverable files, as the vendor signs them now. */
export const reread = async (
  client: VendorClient,
  statusUrl: string,
  types: readonly string[] | undefined,
): Promise<{ readonly said: Reread; readonly urls?: readonly string[]; readonly retryAfterMs?: number }> => {
  try {
    const outcome = await client.status(statusUrl)
    if (outcome.kind === 'unclear') return { said: outcome.cause === 'unreachable' ? 'no-answer' : 'answered', ...wait(outcome) }
    if (outcome.kind === 'running') return { said: 'answered', ...wait(outcome) }
    if (outcome.kind !== 'complete') return { said: 'answered' }
    const urls: string[] = []
    for await (const page of pagesFrom(client, outcome.manifest)) {
      for (const { url } of deliverable(page, types)) urls.push(url)
      if (urls.length > MAX_REFRESHED_FILES) return { said: 'complete' }
    }
    return { said: 'complete', urls }
  } catch (error) {
    if (!(error instanceof ExportError)) throw error
    return { said: error.code === 'vendor_unreachable' ? 'no-answer' : 'answered' }
  }
}

const eventOf = (error: unknown): JobEvent => {
  if (!(error instanceof ExportError)) throw error
  // What an operator can mend, or time, is asked again until it is given up.
  if (error.code === 'vendor_unreachable' || error.code === 'config_invalid') return { kind: 'unclear', cause: 'unreachable' }
  return { kind: 'given-up', failure: { code: error.code, diagnostics: error.diagnostics } }
}

/** What a token endpoint asked for, if it did. */
const tokenWait = ({ options: { retryAfterSeconds } }: ExportError): { retryAfterMs?: number } =>
  retryAfterSeconds === undefined ? {} : { retryAfterMs: retryAfterSeconds * 1000 }

const wait = ({ retryAfterMs }: { readonly retryAfterMs?: number; readonly trace?: Trace }): { retryAfterMs?: number } =>
  retryAfterMs === undefined ? {} : { retryAfterMs }
