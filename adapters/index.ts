import type { Adapter } from '../src/vendor/adapter.ts'
import generic from './generic.ts'
import medplum from './medplum.ts'
import oracleHealth from './oracle-health.ts'
import redox from './redox.ts'
import vendorX from './vendor-x.ts'

/** Every adapter by id. A new one is one line here. */
export const adapters: ReadonlyMap<string, Adapter> = new Map(
  [generic, oracleHealth, redox, medplum, vendorX].map((adapter) => [adapter.id, adapter]),
)
