import type { FileKind } from '../fhir/manifest.ts'
import { newRowProgram } from '../rows/new-row-program.ts'
import type { RowContext, RowProgram } from '../rows/row-program.ts'
import { isIdle, type RowWork } from '../rows/row-work.ts'
import type { VendorClient } from '../vendor/client.ts'
import { baseOf, trustPolicyOf } from '../vendor/requests.ts'
import type { Source } from '../vendor/source.ts'
import { carriesToken } from '../vendor/trusted-fetch.ts'
import { jobUrl } from './answers.ts'
import type { Job } from './model.ts'
import { AttachmentSeal } from './sealed-url.ts'

/** What the rows of a job's files pass, wherever they are read. Plain data, so that it can travel to whoever reads them. */
export type RowJob = Pick<Job, 'jobId' | 'sourceId' | 'types' | 'rows' | 'attachmentKey' | 'organizedBy' | 'organizeBy'>

/** Makes the programs of one job. */
export class RowPrograms {
  readonly #job: RowJob
  readonly #work: RowWork
  readonly #context: RowContext

  constructor(job: RowJob, source: Source, client: Pick<VendorClient, 'mayAsk'>, publicBase: string) {
    this.#job = job
    const { elements, ...whole } = job.rows ?? {}
    // What is still to be organized has to say whose it is, and is pruned after that.
    this.#work = elements === undefined || job.organizeBy !== undefined ? whole : { ...whole, elements }
    this.#context = { vendorBases: basesOf(source), ...attachments(job, attachmentTest(source, client), publicBase) }
  }

  /** Whether files of this kind are hardly ever what they were: their length then says nothing. */
  reshapes(kind: FileKind): boolean {
    return kind !== 'output' || !isIdle(this.#work)
  }

  /** Whether nothing is done to the rows of such files but what no conformant one needs. */
  passesWhole(kind: FileKind): boolean {
    return !this.reshapes(kind) && this.#job.organizedBy === undefined
  }

  /** @param type Of the rows that are wanted; `undefined`: that of the first row. */
  of(kind: FileKind, type: string | undefined): RowProgram {
    const { types, organizedBy } = this.#job
    const isMixed = kind === 'output' && organizedBy !== undefined
    return newRowProgram(this.#work, { kind, type, ...(types ? { types } : {}), ...(isMixed ? { isMixed } : {}) }, this.#context)
  }
}

const basesOf = (source: Source): readonly string[] => [...new Set([baseOf(source), source.fhirBase])]

/** A read of one Binary, and nothing that a search finds or an operation does. */
const BINARY = /^\/Binary\/[\w.~-]{1,256}(?:\/_history\/[\w.~-]{1,256})?$/

/**
 * Whether an address in a row is one that we fetch for clients. Whoever can write a row chooses it, and that is not always the vendor; so the
 * vendor's token is good for its Binaries alone, and what else it could read or do is not had by naming it in an attachment. An address
 * that is asked without the token, since it is signed itself, may be anywhere that is trusted.
 */
export const attachmentTest = (source: Source, client: Pick<VendorClient, 'mayAsk'>): ((url: string) => boolean) => {
  const bases = basesOf(source).map((base) => new URL(base).href.replace(/\/$/, ''))
  const policy = trustPolicyOf(source, false)
  return (url) => {
    if (!client.mayAsk(url)) return false
    // As it is sent: without dots that climb.
    const parsed = new URL(url)
    const { href } = parsed
    return bases.some((base) => href.startsWith(base) && BINARY.test(href.slice(base.length))) || !carriesToken(parsed, policy)
  }
}

/** A media type that may stand in a header. */
const MEDIA_TYPE = /^[\w!#$&^.+-]{1,100}\/[\w!#$&^.+-]{1,100}(?:; ?charset=[\w-]{1,40})?$/

/** `undefined` for what is no media type, with a charset at most. */
export const mediaTypeOf = (text: string | null | undefined): string | undefined => {
  const trimmed = text?.trim() ?? ''
  return MEDIA_TYPE.test(trimmed) ? trimmed : undefined
}

const attachments = (
  { jobId, sourceId, attachmentKey }: RowJob,
  isServed: (url: string) => boolean,
  publicBase: string,
): Pick<RowContext, 'attachmentUrl'> => {
  if (attachmentKey === undefined) return {}
  const seal = new AttachmentSeal(attachmentKey)
  const base = `${jobUrl(publicBase, sourceId, jobId)}/attachments`
  return {
    attachmentUrl: async (url, about) => {
      if (!isServed(url)) return undefined
      const contentType = mediaTypeOf(about.contentType)
      const sealed = await seal.seal({ url, type: about.type, ...(contentType === undefined ? {} : { contentType }) })
      return sealed === undefined ? undefined : `${base}/${sealed}`
    },
  }
}
