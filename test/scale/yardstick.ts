import { fileURLToPath } from 'node:url'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { COMPATIBILITY_DATE, COMPATIBILITY_FLAGS } from '../../sandbox/compatibility.ts'
import { freePort, HOST } from '../../sandbox/facade.ts'
import { exchange } from './http.ts'

/** `proxy`: the file is the answer. `pipe`: it is one put to R2. `parts`: a multipart upload to R2, 5 MiB each. */
export type YardstickName = 'proxy' | 'pipe' | 'parts'

export interface Yardstick {
  /** Does its work with a vendor's file. @returns Bytes stored or sent. */
  take(fileUrl: string, authorization: string): Promise<number>
  close(): Promise<void>
}

/** Serves the smallest Worker that does what the facade must, in the same way as the facade is served. */
export const startYardstick = async (name: YardstickName, stateDirectory: string): Promise<Yardstick> => {
  const port = await freePort()
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      name,
      modules: true,
      scriptPath: fileURLToPath(new URL(`yardsticks/${name}.js`, import.meta.url).href),
      modulesRoot: fileURLToPath(new URL('yardsticks', import.meta.url).href),
      compatibilityDate: COMPATIBILITY_DATE,
      compatibilityFlags: COMPATIBILITY_FLAGS,
      r2Buckets: { FILES: 'yardstick-files' },
      resourcePersistencePath: stateDirectory,
      unsafeDirectSockets: [{ host: HOST, port }],
    }),
  )
  await miniflare.ready
  return {
    take: async (fileUrl, authorization) => {
      const headers = { 'X-Vendor-Url': fileUrl, 'X-Vendor-Authorization': authorization }
      let sent = 0
      const count = (chunk: Buffer): void => {
        sent += chunk.length
      }
      const isProxy = name === 'proxy'
      const { status, body } = await exchange(`http://${HOST}:${port}/`, { headers }, isProxy ? count : undefined)
      if (status !== 200) throw new Error(`yardstick: ${status} ${body}`)
      return isProxy ? sent : (JSON.parse(body) as { bytes: number }).bytes
    },
    close: () => miniflare.dispose(),
  }
}
