import { FileStore } from '../../src/job/store-file.ts'
import { newRowProgram } from '../../src/rows/new-row-program.ts'

const drained = async (value) => {
  if (value instanceof ReadableStream) await value.pipeTo(new WritableStream())
  return {}
}

/** R2 that discards what it is given: locally it is a simulator, which would be all that there is to measure. */
const bucket = {
  put: (_key, value) => drained(value),
  createMultipartUpload: async () => ({ uploadId: 'upload' }),
  resumeMultipartUpload: () => ({
    uploadPart: async (n) => ({ etag: `part-${n}` }),
    complete: async () => ({}),
    abort: async () => undefined,
  }),
}

const record = {
  load: () => undefined,
  begin: () => undefined,
  addPart: () => undefined,
  dropPartsFrom: () => undefined,
  setValidator: () => undefined,
  finish: () => undefined,
  drop: () => undefined,
}

/** Collects a file as a job does, with the program that all rows pass, into nothing. */
export default {
  async fetch(request) {
    const { url, type } = await request.json()
    const context = { vendorBases: ['https://ehr.example.org/fhir/r4'] }
    const { bytes, lines, sha256 } = await new FileStore(bucket).store({
      key: 'file',
      open: () => fetch(url),
      type,
      record,
      keepOn: () => 'go-on',
      newProgram: (of) => newRowProgram({}, { kind: 'output', type: of }, context),
    })
    return Response.json({ bytes, lines, sha256 })
  },
}
