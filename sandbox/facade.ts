import { createServer } from 'node:net'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { BUILD_DIRECTORY } from './build.ts'
import { COMPATIBILITY_DATE, COMPATIBILITY_FLAGS } from './compatibility.ts'
import type { SourceConfig } from './config.ts'
import { publicPart, type SandboxKeys } from './state.ts'

/** One file of a Worker. */
export interface WorkerModule {
  readonly path: string
  readonly contents: string
}

/** What a variable may hold. */
type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

export interface FacadeOptions {
  /** 0 or omitted: any free port. */
  readonly port?: number
  readonly sources: Readonly<Record<string, SourceConfig>>
  readonly secrets: Readonly<Record<string, string>>
  readonly keys: SandboxKeys
  /** Overrides of `LIMITS`. */
  readonly limits?: Readonly<Record<string, number>>
  /** More variables, or others: `CLIENT_*`, `PUBLIC_BASE`. */
  readonly variables?: Readonly<Record<string, Json>>
  /** Keeps rows and objects there; omitted, they end with the process. */
  readonly stateDirectory?: string
  /** Served instead of the built Worker; the first is the entry. */
  readonly modules?: readonly WorkerModule[]
  /** Takes what the Worker logs, line by line. */
  readonly onLog?: (line: string) => void
}

export interface Facade {
  /** `http://127.0.0.1:8787` */
  readonly base: string
  close(): Promise<void>
}

export const HOST = '127.0.0.1'

export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, HOST, () => {
      const address = server.address()
      server.close(() => (address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port'))))
    })
  })

const variableName = (prefix: string, id: string): string => prefix + id.toUpperCase().replaceAll('-', '_')

/** The demo clients may do everything at every source; `other` exists so that two clients can be told apart. */
const clientsFor = (sourceIds: readonly string[], keys: SandboxKeys): Record<string, Json> =>
  Object.fromEntries(
    (['demo', 'other'] as const).map((clientId) => [
      variableName('CLIENT_', clientId),
      {
        clientId,
        jwks: { keys: [plain(publicPart(keys[clientId]))] },
        scopes: ['system/*.rs'],
        access: Object.fromEntries(sourceIds.map((id) => [id, {}])),
      },
    ]),
  )

/** A value as it comes out of JSON. */
const plain = (value: object): Json => JSON.parse(JSON.stringify(value)) as Json

/** The Worker's variables and secrets. */
const variablesOf = (options: FacadeOptions, base: string): Record<string, Json> => ({
  PUBLIC_BASE: base,
  SANDBOX: 'true',
  LIMITS: { ...options.limits },
  TOKEN_SIGNING_KEYS: JSON.stringify({ keys: [options.keys.signing] }),
  ...clientsFor(Object.keys(options.sources), options.keys),
  ...Object.fromEntries(Object.entries(options.sources).map(([id, source]) => [variableName('SOURCE_', id), plain(source)])),
  ...options.secrets,
  ...options.variables,
})

/**
 * Serves the built Worker on loopback in workerd, with no development server in front.
 * `build()` must have run.
 */
export const startFacade = async (options: FacadeOptions): Promise<Facade> => {
  if (options.port !== undefined && options.port !== 0) return startOn(options.port, options)
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOn(await freePort(), options)
    } catch (error) {
      // Another process may take a free port before we do.
      if (attempt === PORT_ATTEMPTS || !/in use/i.test(String(error))) throw error
    }
  }
}

const PORT_ATTEMPTS = 5

const startOn = async (port: number, options: FacadeOptions): Promise<Facade> => {
  const base = `http://${HOST}:${port}`
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      name: 'bulkhead',
      ...(options.modules === undefined
        ? { modules: true, modulesRoot: BUILD_DIRECTORY, scriptPath: `${BUILD_DIRECTORY}/index.js` }
        : { modules: options.modules.map((module) => ({ type: 'ESModule' as const, ...module })) }),
      compatibilityDate: COMPATIBILITY_DATE,
      compatibilityFlags: COMPATIBILITY_FLAGS,
      durableObjects: {
        JOBS: { className: 'ExportJob', useSQLite: true },
        GATES: { className: 'SourceGate', useSQLite: true },
        LEDGERS: { className: 'ClientLedger', useSQLite: true },
      },
      r2Buckets: { FILES: 'bulkhead-files' },
      ...(options.stateDirectory === undefined ? {} : { resourcePersistencePath: options.stateDirectory }),
      bindings: variablesOf(options, base),
      unsafeDirectSockets: [{ host: HOST, port }],
      handleStructuredLogs: ({ message }) => options.onLog?.(message),
    }),
  )
  try {
    await miniflare.ready
  } catch (error) {
    await miniflare.dispose()
    throw error
  }
  return { base, close: () => miniflare.dispose() }
}
