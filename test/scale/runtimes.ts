import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'

/** Ticks of the kernel's accounting in a second, on every Linux that Node runs on: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
const TICKS_PER_SECOND = 100

/** Fields of a process from its state on. */
const fieldsOf = (pid: number): readonly string[] =>
  // The second field is a name in parentheses that may hold anything.
  /^\d+ \(.*\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1]?.split(' ') ?? []

const isRuntime = (pid: number): boolean => {
  try {
    return fieldsOf(pid)[1] === String(process.pid) && basename(readlinkSync(`/proc/${pid}/exe`)).startsWith('workerd')
  } catch {
    // It ended while we looked, or is none of our business.
    return false
  }
}

/** Process ids of the Workers runtimes that this process runs. Needs a system with `/proc`. */
export const runtimeIds = (): readonly number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter(isRuntime)

/** Processor time that a process has taken so far, in ms. */
export const processorMsOf = (pid: number): number => {
  const fields = fieldsOf(pid)
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND
}
