import { blocksOf } from '../../src/job/blocks.ts'
import { newReading } from '../../src/job/reading.ts'
import { newRowProgram } from '../../src/rows/new-row-program.ts'

/** As files are passed through. */
const FIRST_BLOCK_BYTES = 256 * 1024
const MAX_BLOCK_BYTES = 2 * 1024 * 1024

const attachmentUrl = async (url) => `https://bulk.example.org/fhir/a/attachments/${url.length}`

/** Streams a file through a program, or through none. */
export default {
  async fetch(request) {
    const { url, program, base } = await request.json()
    const { body } = await fetch(url)
    const blocks = blocksOf(body, FIRST_BLOCK_BYTES, newReading(undefined, { maxBlockBytes: MAX_BLOCK_BYTES }))
    const context = { vendorBases: [base], attachmentUrl }
    const rows = program === null ? blocks : newRowProgram(program, { kind: 'output', type: undefined }, context).run(blocks)
    const { readable, writable } = new IdentityTransformStream()
    const pump = async () => {
      const writer = writable.getWriter()
      for await (const block of rows) await writer.write(block)
      await writer.close()
    }
    void pump()
    return new Response(readable)
  },
}
