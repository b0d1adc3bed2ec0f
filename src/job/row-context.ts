import type { FileKind } from '../fhir/manifest.ts'
import { newRowProgram } from '../rows/new-row-program.ts'
import type { RowContext, RowProgram } from '../rows/row-program.ts'
import { isIdle, type RowWork } from '../rows/row-work.ts'
import type { VendorClient } from '../vendor/client.ts'
import { baseOf } from '../vendor/requests.ts'
import type { Source } from '../vendor/source.ts'
import { jobUrl } from './answers.ts'
import type { Job } from './model.ts'
import { AttachmentSeal } from './sealed-url.ts'

/** What the rows of a job's files pass, wherever they are read. Plain data, so that it can travel to whoever reads them. */
export type RowJob = Pick<Job, 'jobId' | 'sourceId' | 'types' | 'rows' | 'attachmentKey' | 'organizedBy'>

/** Makes the programs of one job. */
export class RowPrograms {
  readonly #job: RowJob
  readonly #work: RowWork
  readonly #context: RowContext

  constructor(job: RowJob, source: Source, client: Pick<VendorClient, 'mayAsk'>, publicBase: string) {
    this.#job = job
    this.#work = job.rows ?? {}
    const vendorBases = [...new Set([baseOf(source), source.fhirBase])]
    this.#context = { vendorBases, ...attachments(job, client, publicBase) }
  }

  /** Whether files of this kind are hardly ever what they were: their length then says nothing. */
  reshapes(kind: FileKind): boolean {
    return kind !== 'output' || !isIdle(this.#work)
  }

  /** @param type Of the rows that are wanted; `undefined`: that of the first row. */
  of(kind: FileKind, type: string | undefined): RowProgram {
    const { types, organizedBy } = this.#job
    const isMixed = kind === 'output' && organizedBy !== undefined
    return newRowProgram(this.#work, { kind, type, ...(types ? { types } : {}), ...(isMixed ? { isMixed } : {}) }, this.#context)
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
  client: Pick<VendorClient, 'mayAsk'>,
  publicBase: string,
): Pick<RowContext, 'attachmentUrl'> => {
  if (attachmentKey === undefined) return {}
  const seal = new AttachmentSeal(attachmentKey)
  const base = `${jobUrl(publicBase, sourceId, jobId)}/attachments`
  return {
    attachmentUrl: async (url, about) => {
      if (!client.mayAsk(url)) return undefined
      const contentType = mediaTypeOf(about.contentType)
      const sealed = await seal.seal({ url, type: about.type, ...(contentType === undefined ? {} : { contentType }) })
      return sealed === undefined ? undefined : `${base}/${sealed}`
    },
  }
}
