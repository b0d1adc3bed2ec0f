import { tmpdir } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { takeCounts, type Counts } from './counts.ts'
import { withFacade, type Measured } from './facade.ts'
import { download } from './load.ts'
import { OBJECT_GIGABYTES, METERED, NOTHING, plus, type Usage } from './prices.ts'
import { processorMs } from './processor.ts'
import { fileUrl, filesGroup, runningGroup, startVendor, statusRequests } from './vendor.ts'
import { startWorker } from './worker.ts'

/** What is counted once of each, so that everything else is arithmetic. */
export interface CountedCosts {
  /** From kick-off to purge, without the vendor's and the client's status requests and without files. */
  readonly job: Usage
  /** One status request to the vendor. */
  readonly vendorPoll: Usage
  /** 1,000 status requests of clients. */
  readonly thousandPolls: Usage
  /** One file that is collected by one put, without its bytes. */
  readonly file: Usage
  /** One file that is downloaded, without its bytes. */
  readonly fileDownload: Usage
  /** One GB that is read, cleaned, hashed and counted on its way to R2, or on its way to the client. */
  readonly gigabyte: Usage
  /** One GB that is collected in one file, by parts. */
  readonly gigabyteInParts: Usage
  readonly token: Usage
}

/** Wall time that an object is busy with one request: what the platform bills is duration, and it is not told locally. */
export const REQUEST_SECONDS = 0.01

const GIGABYTE = 1_000_000_000
const SMALL_BYTES = 2_000
const FILES = 100
const POLLS = 1_000
const VENDOR_WAIT_SECONDS = 1
const VENDOR_POLLS_MS = 12_000
const PARTS_BYTES = 256_000_000
const TOKENS = 20
const EXPORTS = 5

const usageOf = (counts: Counts, tookMs: number): Usage => ({
  ...NOTHING,
  workerRequests: counts.workerRequests,
  objectRequests: counts.objectRequests,
  objectGigabyteSeconds: counts.objectRequests * REQUEST_SECONDS * OBJECT_GIGABYTES,
  rowsRead: counts.rowsRead,
  rowsWritten: counts.rowsWritten,
  classA: counts.classA,
  classB: counts.classB,
  processorMs: tookMs,
})

const times = (usage: Usage, factor: number): Usage => plus(NOTHING, usage, factor)
/** Never below nothing: what one measurement has less than another is noise. */
const less = (one: Usage, other: Usage): Usage => {
  const rest = plus(one, other, -1)
  return Object.fromEntries(METERED.map((name) => [name, Math.max(0, rest[name])])) as Usage
}

const usage = async ({ base }: Measured, work: () => Promise<void>): Promise<Usage> => {
  await takeCounts(base)
  const beforeMs = processorMs()
  await work()
  const tookMs = processorMs() - beforeMs
  return usageOf(await takeCounts(base), tookMs)
}

/** Exports one after the other, each deleted once it is complete. @returns Usage of one, and its polls. */
const exportsOf = async (measured: Measured, group: string, many: number, thousandPolls: Usage): Promise<Usage> => {
  let polls = 0
  const whole = await usage(measured, async () => {
    for (let one = 0; one < many; one += 1) {
      const [url = ''] = await measured.kickOffs(group, 1)
      for (let status = 202; status === 202; polls += 1) {
        await delay(100)
        const response = await measured.client.fetch(url)
        ;({ status } = response)
        await response.body?.cancel()
      }
      await (await measured.client.fetch(url, { method: 'DELETE' })).body?.cancel()
    }
    // The purge follows the answer to the DELETE.
    await delay(2_000)
  })
  return times(less(whole, times(thousandPolls, polls / 1_000)), 1 / many)
}

const counted = (): Promise<Omit<CountedCosts, 'gigabyte'>> =>
  withFacade({ retention: 'r2', layers: [{ name: 'counting' }], disk: tmpdir() }, async (measured) => {
    const { client, kickOffs, exportOf, vendor, headers } = measured
    const [running = ''] = await kickOffs(runningGroup(3_600), 1)
    const poll = async (): Promise<void> => {
      await (await client.fetch(running)).body?.cancel()
    }
    for (let warmUp = 0; warmUp < POLLS; warmUp += 1) await poll()
    const thousandPolls = await usage(measured, async () => {
      for (let one = 0; one < POLLS; one += 1) await poll()
    })
    const token = await usage(measured, async () => {
      for (let one = 0; one < TOKENS; one += 1) await headers()
    })
    await exportOf(filesGroup(1, SMALL_BYTES))
    const small = await exportsOf(measured, filesGroup(1, SMALL_BYTES), EXPORTS, thousandPolls)
    const many = await exportsOf(measured, filesGroup(FILES, SMALL_BYTES), 1, thousandPolls)
    const parts = await exportsOf(measured, filesGroup(1, PARTS_BYTES), 1, thousandPolls)
    const file = times(less(many, small), 1 / (FILES - 1))
    // Each export above cost its vendor one status request.
    await kickOffs(runningGroup(VENDOR_WAIT_SECONDS), 1)
    await vendor.counts()
    const asked = await usage(measured, () => delay(VENDOR_POLLS_MS))
    const vendorPoll = times(asked, 1 / statusRequests(await vendor.counts()))
    const { manifest } = await exportOf(filesGroup(FILES, SMALL_BYTES))
    const authorization = { ...(await headers()), 'Accept-Encoding': 'identity' }
    const downloads = await usage(measured, async () => {
      for (const { url } of manifest.output) await download(url, authorization)
    })
    return {
      job: less(less(small, file), vendorPoll),
      vendorPoll,
      thousandPolls,
      file,
      fileDownload: times(downloads, 1 / FILES),
      // What its bytes take is counted where no simulator of R2 takes part.
      gigabyteInParts: { ...times(less(parts, small), GIGABYTE / PARTS_BYTES), processorMs: 0 },
      token: times(token, 1 / TOKENS),
    }
  })

/** Processor time of one GB, by a sink that discards: locally R2 is a simulator in the same process. */
const gigabyte = async (): Promise<Usage> => {
  const vendor = await startVendor()
  const worker = await startWorker('workers/collect')
  const collect = async (bytes: number): Promise<void> => {
    const body = JSON.stringify({ url: fileUrl(vendor, filesGroup(1, bytes)), type: 'Observation' })
    const response = await fetch(worker.base, { method: 'POST', body })
    if (!response.ok) throw new Error(`the Worker answered ${response.status}`)
  }
  try {
    await collect(PARTS_BYTES)
    const beforeMs = processorMs()
    await collect(GIGABYTE)
    return { ...NOTHING, processorMs: processorMs() - beforeMs }
  } finally {
    await Promise.all([worker.close(), vendor.close()])
  }
}

/** Counts operations of the built Worker on loopback. `build()` must have run, and Linux tells the processor time. */
export const countCosts = async (): Promise<CountedCosts> => ({ ...(await counted()), gigabyte: await gigabyte() })
