import { existsSync } from 'node:fs'
import { processorMsOf, runtimeIds } from '../test/scale/runtimes.ts'

export const canMeasureProcessor = existsSync('/proc/self/stat')

/** Processor time that the Workers runtimes below this process have taken so far, in ms. */
export const processorMs = (): number => runtimeIds().reduce((sum, pid) => sum + processorMsOf(pid), 0)
