import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build as bundle } from 'esbuild'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { BUILD_DIRECTORY } from '../sandbox/build.ts'
import { COMPATIBILITY_DATE, COMPATIBILITY_FLAGS } from '../sandbox/compatibility.ts'
import { freePort, HOST, type WorkerModule } from '../sandbox/facade.ts'
import type { Layer } from './layer.ts'

const OBJECTS = ['ExportJob', 'SourceGate', 'ClientLedger'] as const
const layerText = (name: string): Promise<string> => readFile(new URL(`layers/${name}.js`, import.meta.url), 'utf8')

/** A copy of a Worker with layers over it, the innermost first. @param objects Names of the classes that it exports. */
export const layered = async (
  worker: string,
  layers: readonly Layer[],
  objects: readonly string[],
): Promise<readonly WorkerModule[]> => {
  const names = [...new Set(layers.map(({ name }) => name))]
  const entry = [
    // Before the Worker: what it takes from its surroundings when it starts may be another thing by then.
    ...names.map((name, index) => `import { layer as layer${index} } from './${name}.js'`),
    `import * as inner from './worker.js'`,
    'let worker = { ...inner }',
    ...layers.map(({ name, options }) => `worker = layer${names.indexOf(name)}(worker, ${JSON.stringify(options ?? {})})`),
    'export default worker.default',
    ...objects.map((name) => `export const ${name} = worker.${name}`),
  ].join('\n')
  const files = [...names, 'burn'].map(async (name) => ({ path: `${name}.js`, contents: await layerText(name) }))
  return [{ path: 'index.js', contents: entry }, { path: 'worker.js', contents: worker }, ...(await Promise.all(files))]
}

/** The built Worker with layers over it; `build()` must have run. */
export const layeredBuild = async (layers: readonly Layer[]): Promise<readonly WorkerModule[]> =>
  layered(await readFile(`${BUILD_DIRECTORY}/index.js`, 'utf8'), layers, OBJECTS)

export interface SmallWorker {
  readonly base: string
  close(): Promise<void>
}

/** Serves a small Worker of `workers/` or `yardsticks/` in the same way as the facade is served. */
export const startWorker = async (
  path: string,
  {
    layers = [],
    stateDirectory,
    hasJobs = false,
  }: { layers?: readonly Layer[]; stateDirectory?: string; hasJobs?: boolean } = {},
): Promise<SmallWorker> => {
  const { outputFiles } = await bundle({
    entryPoints: [fileURLToPath(new URL(`${path}.js`, import.meta.url))],
    bundle: true,
    format: 'esm',
    write: false,
    external: ['cloudflare:*', 'node:*'],
  })
  const modules = await layered(outputFiles[0]?.text ?? '', layers, hasJobs ? ['Job'] : [])
  const port = await freePort()
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      name: 'small',
      modules: modules.map((module) => ({ type: 'ESModule', ...module })),
      compatibilityDate: COMPATIBILITY_DATE,
      compatibilityFlags: COMPATIBILITY_FLAGS,
      ...(hasJobs ? { durableObjects: { JOBS: { className: 'Job', useSQLite: true } } } : {}),
      r2Buckets: { FILES: 'small-files' },
      ...(stateDirectory === undefined ? {} : { resourcePersistencePath: stateDirectory }),
      unsafeDirectSockets: [{ host: HOST, port }],
    }),
  )
  await miniflare.ready
  return { base: `http://${HOST}:${port}`, close: () => miniflare.dispose() }
}
