import type { CredentialConfig, SourceConfig } from './config.ts'
import { directoryDataset } from './data-directory.ts'
import { generatedDataset, type Dataset } from './dataset.ts'
import type { Oddity } from './oddities.ts'
import { privateKeys, vendorClients, type PrivateKeys, type VendorClients } from './vendor-clients.ts'
import { startVendor, type Pace, type RunningVendor, type VendorSettings } from './vendor-server.ts'
import { generic } from './vendors/generic.ts'
import { medplum } from './vendors/medplum.ts'
import { oracleHealth } from './vendors/oracle-health.ts'
import { redox } from './vendors/redox.ts'
import { vendorX } from './vendors/vendor-x.ts'

export interface SandboxOptions {
  /** How many patients to make. Ignored with `dataDir`. */
  readonly patients?: number
  /** A directory of `*.ndjson` to serve instead. */
  readonly dataDir?: string
  /** What to serve instead of either. */
  readonly dataset?: Dataset
  /** `real`: the vendors' documented waits. */
  readonly pace?: Pace
  /** How long each export runs, whatever the pace. */
  readonly jobSeconds?: number
  /** How long access tokens live, whatever the vendor. */
  readonly tokenSeconds?: number
  /** Exports that Oracle Health runs at once for one client; the documented number is one. */
  readonly exportsAtOnce?: number
  /** Medplum's rate limit. */
  readonly requestsPerMinute?: number
  /**
   * Lets each vendor write rows in its own way, or all of them in these. Omitted: rows are everywhere the same bytes.
   */
  readonly oddities?: boolean | readonly Oddity[]
  readonly host?: string
  /** The facade's private JWKs, each with `kid` and `alg`. Those missing are made. */
  readonly keys?: Partial<PrivateKeys>
  /** The vendors' clock, in epoch ms. */
  readonly now?: () => number
}

/** A fake EHR as others see it; what it takes to configure and stop it is the sandbox's. */
export type SandboxVendor = Omit<RunningVendor, 'source' | 'close'>

export interface Sandbox {
  readonly vendors: readonly SandboxVendor[]
  /** The facade's configuration: source id → source. */
  readonly sources: Readonly<Record<string, SourceConfig>>
  /** Name → value of every secret that `sources` names. A key is a private JWK as JSON. */
  readonly secrets: Readonly<Record<string, string>>
  readonly dataset: Dataset
  close(): Promise<void>
}

const VENDORS = [generic, oracleHealth, redox, medplum, vendorX]
const DEFAULT_PATIENTS = 50

const secretOf = (credential: CredentialConfig, { primary }: VendorClients): [string, string] =>
  credential.kind === 'private-key-jwt'
    ? [credential.keySecret, JSON.stringify(primary.privateKeys[credential.alg])]
    : [credential.secret, primary.secret]

/** Starts the fake EHRs on free ports of the loopback interface. */
export const startSandbox = async (options: SandboxOptions = {}): Promise<Sandbox> => {
  const { patients = DEFAULT_PATIENTS, dataDir, pace = 'fast', host = '127.0.0.1', now = Date.now } = options
  const dataset = options.dataset ?? (dataDir === undefined ? generatedDataset(patients) : await directoryDataset(dataDir))
  const settings: VendorSettings = {
    dataset,
    pace,
    host,
    now,
    oddities: options.oddities ?? true,
    ...(options.jobSeconds === undefined ? {} : { jobSeconds: options.jobSeconds }),
    ...(options.tokenSeconds === undefined ? {} : { tokenSeconds: options.tokenSeconds }),
    ...(options.exportsAtOnce === undefined ? {} : { exportsAtOnce: options.exportsAtOnce }),
    ...(options.requestsPerMinute === undefined ? {} : { requestsPerMinute: options.requestsPerMinute }),
  }
  const [own, others] = await Promise.all([privateKeys(options.keys), privateKeys()])
  const vendors: RunningVendor[] = await Promise.all(
    VENDORS.map((spec) => startVendor(spec, settings, vendorClients(own, others))),
  )
  return {
    vendors,
    sources: Object.fromEntries(vendors.map(({ id, source }) => [id, source])),
    secrets: Object.fromEntries(vendors.map(({ source, clients }) => secretOf(source.credential, clients))),
    dataset,
    close: async () => {
      await Promise.all(vendors.map((vendor) => vendor.close()))
    },
  }
}
