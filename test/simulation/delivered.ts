import type { OurJob } from './jobs.ts'
import type { Vendor } from './vendor.ts'
import type { VendorFile } from './vendor-job.ts'

/* What a client read, held against what the vendor has. */

/** The file of the vendor, and the type out of it, that a text is; `undefined` for none. */
export const partOf = (vendor: Vendor, job: OurJob, type: string | undefined, text: string): string | undefined => {
  const files = vendor.jobs.filter(({ forJob }) => forJob === job.number).flatMap((one) => one.files)
  // What streams is listed before anybody knows that nothing is left of it.
  const textOf = (file: VendorFile): string | undefined => file.wanted.get(type ?? '') ?? (file.type === type ? '' : undefined)
  const file = files.find((one) => textOf(one) === text)
  return file && `${file.index}/${type}`
}

interface Resource {
  readonly resourceType: string
  readonly id: string
  readonly subject?: { readonly reference: string }
  readonly parameter?: readonly { readonly valueReference: { readonly reference: string } }[]
}

const linesOf = (text: string): string[] => text.split('\n').slice(0, -1)

/** The rows of an organized file, each with the patient in whose block it stands. */
export const organizedRows = (text: string): string[] => {
  let patient = 'nobody'
  return linesOf(text).flatMap((line) => {
    const { resourceType, parameter } = JSON.parse(line) as Resource
    if (resourceType !== 'Parameters') return [`${patient} ${line}`]
    patient = parameter?.[0]?.valueReference.reference ?? 'nobody'
    return []
  })
}

/** The same of what is to be delivered. */
export const rowsWanted = (files: readonly VendorFile[]): ReadonlySet<string> =>
  new Set(
    files
      .flatMap(({ wanted }) => [...wanted.values()].flatMap(linesOf))
      .map((line) => {
        const { id, subject } = JSON.parse(line) as Resource
        return `${subject?.reference ?? `Patient/${id}`} ${line}`
      }),
  )
