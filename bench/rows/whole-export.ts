import { tmpdir } from 'node:os'
import { BulkClient, requestToken } from '../../sandbox/bulk-client.ts'
import { startFacade } from '../../sandbox/facade.ts'
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts'
import { sandboxKeys } from '../../sandbox/state.ts'
import { FAST_LIMITS, withDirectory } from '../../test/scale/stack.ts'
import type { BenchRow } from '../bench.ts'
import { download } from '../load.ts'
import { compare } from '../statistics.ts'
import type { Layer } from '../layer.ts'
import { layeredBuild } from '../worker.ts'

const DOWNLOADS_AT_A_TIME = 2
/** Of every fake EHR, so that none of them is measured. */
const JOB_SECONDS = 1

/** From the kick-off to the last byte. @returns Bytes. */
const exportWhole = async (client: BulkClient, base: string, token: () => Promise<string>, path: string): Promise<number> => {
  const manifest = await client.manifest(await client.kickoff(path))
  const queue = manifest.output.values()
  let bytes = 0
  const worker = async (): Promise<void> => {
    for (const { url } of queue) {
      const authorization = { Authorization: await token(), 'Accept-Encoding': 'identity' }
      const answer = await download(new URL(url, base).href, authorization)
      if (answer.status !== 200) throw new Error(`a file was answered ${answer.status}`)
      bytes += answer.bytes
    }
  }
  await Promise.all(Array.from({ length: DOWNLOADS_AT_A_TIME }, worker))
  return bytes
}

/** Seconds until all exports are done. @throws unless they gave as much as was expected. */
const inParallel = async (exports: readonly (() => Promise<number>)[], leastBytes: number): Promise<number> => {
  const startedMs = performance.now()
  const sizes = await Promise.all(exports.map((one) => one()))
  if (sizes.some((bytes) => bytes < leastBytes)) throw new Error(`an export gave less than ${leastBytes} bytes`)
  return (performance.now() - startedMs) / 1000
}

/** A client as an app has it, and its token. */
const clientOf = (base: string, id: string, key: ConstructorParameters<typeof BulkClient>[2]) => {
  const client = new BulkClient(base, id, key)
  let token: { readonly value: Promise<string>; readonly untilMs: number } | undefined
  return {
    client,
    token: (): Promise<string> => {
      if (token === undefined || token.untilMs < Date.now())
        token = {
          value: requestToken(base, id, key).then(({ token: value }) => `Bearer ${value}`),
          untilMs: Date.now() + TOKEN_LIVES_MS,
        }
      return token.value
    },
  }
}
const TOKEN_LIVES_MS = 240_000

/** Seconds that all exports take through the facade, and as many straight at the conformant server. */
interface Exports {
  readonly through: () => Promise<number>
  readonly straight: () => Promise<number>
}

const withExports = async <T>(
  sandbox: Sandbox,
  retention: 'none' | 'r2',
  layers: readonly Layer[],
  work: (exports: Exports) => Promise<T>,
): Promise<T> =>
  withDirectory(async (stateDirectory) => {
    const keys = await sandboxKeys()
    const facade = await startFacade({
      keys,
      stateDirectory,
      sources: Object.fromEntries(Object.entries(sandbox.sources).map(([id, source]) => [id, { ...source, retention }])),
      secrets: sandbox.secrets,
      limits: FAST_LIMITS,
      ...(layers.length === 0 ? {} : { modules: await layeredBuild(layers) }),
    })
    try {
      const conformant = sandbox.vendors.find(({ id }) => id === 'generic')
      if (conformant === undefined) throw new Error('the sandbox has no conformant server')
      const { clientId, privateKeys } = conformant.clients.primary
      const server = clientOf(conformant.origin, clientId, privateKeys.ES384)
      const app = clientOf(facade.base, 'demo', keys.demo)
      const straightExport = (): Promise<number> =>
        exportWhole(server.client, conformant.origin, server.token, `/fhir/Group/${conformant.groupId}/$export`)
      const bytes = await straightExport()
      return await work({
        through: () =>
          inParallel(
            sandbox.vendors.map(
              ({ id, groupId }) =>
                () =>
                  exportWhole(app.client, facade.base, app.token, `/fhir/${id}/Group/${groupId}/$export`),
            ),
            bytes,
          ),
        straight: () =>
          inParallel(
            Array.from({ length: sandbox.vendors.length }, () => straightExport),
            bytes,
          ),
      })
    } finally {
      await facade.close()
    }
  }, tmpdir())

/** Whole exports of all sources at once, from kick-off to the last byte, against as many straight at a conformant server. */
export default {
  name: 'whole-export',
  sabotage: [
    { name: 'slow-bodies', options: { stepsPerKilobyte: 20_000 } },
    { name: 'slow-requests', options: { steps: 50_000_000 } },
  ],
  async measure({ layers, patients, slowRuns: runs }) {
    const sandbox = await startSandbox({ patients, jobSeconds: JOB_SECONDS, oddities: false })
    try {
      const none = await withExports(sandbox, 'none', layers, ({ through, straight }) => compare(runs, through, straight))
      const seconds = await withExports(sandbox, 'r2', layers, ({ through }) => through())
      return [
        {
          what: `five exports of ${patients.toLocaleString('en')} patients, passed through`,
          unit: 's',
          ...none,
          budget: { of: 'ratio', atMost: 1.25 },
        },
        // Of the simulator's making, and judged by nobody: once is enough, and the yardstick is that of the line above.
        {
          what: '  the same, kept in local R2',
          unit: 's',
          figure: seconds,
          yardstick: none.yardstick,
          ratio: seconds / none.yardstick,
        },
      ]
    } finally {
      await sandbox.close()
    }
  },
} satisfies BenchRow as BenchRow
