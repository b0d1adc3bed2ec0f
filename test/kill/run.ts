import { parseArgs } from 'node:util'
import { build } from '../../sandbox/build.ts'
import { killRun } from './kill-run.ts'
import { killHead, killLine, summary } from './report.ts'

const USAGE = `Options:
  --kills N      how often the facade is killed (default 30)
  --seed S       chooses moments and victims; the same seed makes the same choices
  --patients N   how many synthetic patients every fake EHR holds (default 300)
  --pause MS     the longest time from one kill to the hunt for the next (default 4000)
  --outage MS    let every outage seem so much longer to the alarms (default 0)
  --log          print what the facade logged`

const print = (text: string): void => {
  process.stdout.write(`${text}\n`)
}

const wholeNumber = (value: string, name: string): number => {
  if (/^\d{1,9}$/.test(value)) return Number(value)
  process.stderr.write(`--${name}: a whole number\n\n${USAGE}\n`)
  process.exit(2)
}

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '30' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    patients: { type: 'string', default: '300' },
    pause: { type: 'string', default: '4000' },
    outage: { type: 'string', default: '0' },
    log: { type: 'boolean', default: false },
  },
})
const seed = wholeNumber(values.seed, 'seed')
await build()
const startedMs = Date.now()
print(`Seed ${seed}\n\n${killHead}`)
const report = await killRun({
  seed,
  kills: wholeNumber(values.kills, 'kills'),
  patients: wholeNumber(values.patients, 'patients'),
  outageMs: wholeNumber(values.outage, 'outage'),
  pauseMs: wholeNumber(values.pause, 'pause'),
  jobSeconds: 1,
  onKill: (kill) => print(killLine(kill)),
})
if (values.log) print(`\n${report.log.join('\n')}`)
print(`\n${summary(report)}\nSeed ${seed}, ${Math.round((Date.now() - startedMs) / 1000)} s`)
process.exit(report.violations.length === 0 ? 0 : 1)
