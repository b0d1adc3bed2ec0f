import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

/** What a bench vendor was asked since it was asked for this before. */
export interface VendorCounts {
  /** Status requests, by the name of the job's group. */
  readonly status: Readonly<Record<string, number>>
  readonly files: number
  /** Epoch ms of the first request for a file. */
  readonly firstFileMs: number | null
}

/** Status requests of all jobs. */
export const statusRequests = ({ status }: VendorCounts): number => Object.values(status).reduce((sum, count) => sum + count, 0)

export interface BenchVendor {
  readonly origin: string
  counts(): Promise<VendorCounts>
  close(): Promise<void>
}

/** A conformant server that costs next to nothing; `vendor-thread.ts` says what its groups hold. */
export const startVendor = async (): Promise<BenchVendor> => {
  const thread = new Worker(new URL('vendor-thread.ts', import.meta.url))
  const [origin] = (await once(thread, 'message')) as [string]
  return {
    origin,
    counts: async () => (await (await fetch(`${origin}/_counts`)).json()) as VendorCounts,
    close: async () => {
      await thread.terminate()
    },
  }
}

/** A group whose export never ends, and whose status is to be asked for again after so many seconds. */
export const runningGroup = (seconds: number, name = 'job'): string => `running-${seconds}-${name}`

/** A group whose export has so many files of about so many bytes. */
export const filesGroup = (files: number, bytes: number, coding: 'identity' | 'gzip' = 'identity'): string =>
  `files-${files}-${bytes}${coding === 'gzip' ? '-gzip' : ''}`

export const fileUrl = ({ origin }: BenchVendor, group: string, index = 0): string => `${origin}/files/${group}/${index}`
