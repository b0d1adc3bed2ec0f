import type { BenchRow } from '../bench.ts'
import bundle from './bundle.ts'
import collectDiscarded from './collect-discarded.ts'
import collectStored from './collect-stored.ts'
import download from './download.ts'
import growth from './growth.ts'
import manifest from './manifest.ts'
import memory from './memory.ts'
import nginx from './nginx.ts'
import passThrough from './pass-through.ts'
import polls from './polls.ts'
import rowPrograms from './row-programs.ts'
import vendorSchedule from './vendor-schedule.ts'
import wholeExport from './whole-export.ts'

/** In the order of the table. */
export const ROWS: readonly BenchRow[] = [
  polls,
  nginx,
  vendorSchedule,
  manifest,
  download,
  passThrough,
  collectDiscarded,
  collectStored,
  rowPrograms,
  memory,
  bundle,
  wholeExport,
  growth,
]
