import { tinyFileContent } from '../../sandbox/faults/files.ts'
import { bounded, megabytes, seconds, tell, type Figure } from './figures.ts'
import type { ScaleClient } from './http.ts'
import { FAST_LIMITS, startUpstream, withFacade } from './stack.ts'
import { canMeasureMemory, runtimeProcess, type MemoryFigures } from './worker-memory.ts'

const DOWNLOADS_AT_A_TIME = 16

/** Downloads every file and compares it with what the vendor's manifest named at its place. @returns How many are identical. */
const identical = async (client: ScaleClient, urls: readonly string[]): Promise<number> => {
  const queue = urls.entries()
  let same = 0
  const worker = async (): Promise<void> => {
    for (const [index, url] of queue) {
      const { status, body } = await client.request(url)
      if (status === 200 && tinyFileContent(index).equals(Buffer.from(body))) same += 1
    }
  }
  await Promise.all(Array.from({ length: DOWNLOADS_AT_A_TIME }, worker))
  return same
}

/** A job of many tiny files, kept: all of them must be there, each what it was at the vendor. */
export const manyFiles = async (files: number): Promise<Figure[]> => {
  const { vendor, source, sandbox } = await startUpstream({ patients: 1, jobSeconds: 1 })
  const options = { sources: { kept: source }, secrets: sandbox.secrets, limits: FAST_LIMITS }
  try {
    return await withFacade(options, async ({ bulk, client }) => {
      await bulk.manifest(await bulk.kickoff('/fhir/kept/Patient/$export'))
      vendor.faults.set([{ on: 'status', kind: 'many-files', files }])
      const startedMs = performance.now()
      const collect = async () => bulk.manifest(await bulk.kickoff('/fhir/kept/Patient/$export'))
      const measured: { result: Awaited<ReturnType<typeof collect>>; memory?: MemoryFigures } = canMeasureMemory
        ? await runtimeProcess().measure(collect)
        : { result: await collect() }
      const elapsedMs = performance.now() - startedMs
      const { output, error } = measured.result
      tell(`  collected in ${seconds(elapsedMs)}; comparing`)
      const same = await identical(
        client,
        output.map(({ url }) => url),
      )
      const isWhole = output.length === files && error.length === 0
      const all = files.toLocaleString('en')
      return [
        bounded(
          `a job of ${all} files: in its manifest`,
          `${output.length.toLocaleString('en')}, ${error.length} errors`,
          `${all}, 0 errors`,
          isWhole,
        ),
        bounded('  files identical to what the vendor holds', same.toLocaleString('en'), all, same === files),
        { what: '  from kick-off to complete', figure: seconds(elapsedMs) },
        ...(measured.memory
          ? [{ what: '  memory above idle', figure: megabytes(measured.memory.peakBytes - measured.memory.idleBytes) }]
          : []),
      ]
    })
  } finally {
    await sandbox.close()
  }
}
