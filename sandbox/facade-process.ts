import { createInterface } from 'node:readline'
import { startFacade, type FacadeOptions } from './facade.ts'

/**
 * The facade in a process of its own, so that it can be killed without taking anything else along. The first line of stdin is its
 * options as JSON; once it listens it prints its base after `READY`, then what the Worker logs. It ends when stdin does, so that it
 * never outlives whoever started it.
 */
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const first = await lines.next()
if (first.done === true) throw new Error('The options are missing: one line of JSON on stdin')
const facade = await startFacade({
  ...(JSON.parse(first.value) as Omit<FacadeOptions, 'onLog'>),
  onLog: (line) => process.stdout.write(`${line}\n`),
})
process.stdout.write(`READY ${facade.base}\n`)
while ((await lines.next()).done !== true);
await facade.close()
process.exit(0)
