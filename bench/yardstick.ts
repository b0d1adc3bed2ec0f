import { fileURLToPath } from 'node:url'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { COMPATIBILITY_DATE } from '../sandbox/compatibility.ts'
import { freePort, HOST } from '../sandbox/facade.ts'

/** Serves the smallest Worker that does what a correct program must, in the same way as the facade is served. */
export const startYardstick = async (name: 'object-call' | 'proxy'): Promise<{ base: string; close(): Promise<void> }> => {
  const port = await freePort()
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      name,
      modules: true,
      scriptPath: fileURLToPath(new URL(`yardsticks/${name}.js`, import.meta.url)),
      modulesRoot: fileURLToPath(new URL('yardsticks', import.meta.url)),
      compatibilityDate: COMPATIBILITY_DATE,
      ...(name === 'object-call' ? { durableObjects: { JOBS: { className: 'Job', useSQLite: true } } } : {}),
      unsafeDirectSockets: [{ host: HOST, port }],
    }),
  )
  await miniflare.ready
  return { base: `http://${HOST}:${port}`, close: () => miniflare.dispose() }
}
