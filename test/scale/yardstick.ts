import { startWorker } from '../../bench/worker.ts'
import { exchange } from './http.ts'

/** `proxy`: the file is the answer. `pipe`: it is one put to R2. `parts`: a multipart upload to R2, 5 MiB each. */
export type YardstickName = 'proxy' | 'pipe' | 'parts'

/** Where each lies, as the benchmark finds its Workers. */
const PATHS: Readonly<Record<YardstickName, string>> = {
  proxy: 'yardsticks/proxy',
  pipe: '../test/scale/yardsticks/pipe',
  parts: '../test/scale/yardsticks/parts',
}

export interface Yardstick {
  /** Does its work with a vendor's file. @returns Bytes stored or sent. */
  take(fileUrl: string, authorization: string): Promise<number>
  close(): Promise<void>
}

/** Serves the smallest Worker that does what the facade must, in the same way as the facade is served. */
export const startYardstick = async (name: YardstickName, stateDirectory: string): Promise<Yardstick> => {
  const worker = await startWorker(PATHS[name], { stateDirectory })
  return {
    take: async (fileUrl, authorization) => {
      const headers = { 'X-Vendor-Url': fileUrl, 'X-Vendor-Authorization': authorization }
      let sent = 0
      const count = (chunk: Buffer): void => {
        sent += chunk.length
      }
      const isProxy = name === 'proxy'
      const { status, body } = await exchange(worker.base, { headers }, isProxy ? count : undefined)
      if (status !== 200) throw new Error(`yardstick: ${status} ${body}`)
      return isProxy ? sent : (JSON.parse(body) as { bytes: number }).bytes
    },
    close: () => worker.close(),
  }
}
