import { setTimeout as delay } from 'node:timers/promises'
import { importJWK, SignJWT } from 'jose'
import type { BenchRow } from '../bench.ts'
import { withFacade, type Measured } from '../facade.ts'
import { download } from '../load.ts'
import { runningGroup } from '../vendor.ts'

/** What the vendor asks to wait. */
const VENDOR_WAIT_SECONDS = 170
/**
 * Ten minutes of every job, from the first kick-off on. A job's third status request comes 544 s after its kick-off at the latest, with all
 * the lateness that is added on purpose, and its fourth after 680 s at the earliest: all are asked for equally often.
 */
const OBSERVED_MS = 630_000
const MOST_LATE_MS = 30_000
const STATUS_REQUESTS = 3
const POLL_EVERY_MS = 15_000
const TOKEN_LIVES_MS = 240_000
const RUNNING = 202
/** Kick-offs a second, at least, and what else has to be done before time passes faster. */
const KICKOFF_RATE = 80
/** Of the polls that are due. Where fewer are made, the machine could not keep up with its clock. */
const LEAST_SHARE = 0.9
const START_MS = 4_000

type Clock = () => number

/** A token by an assertion of the simulated present. */
const tokenAt = async ({ base, keys: { demo } }: Measured, nowMs: number): Promise<string> => {
  const nowSeconds = Math.floor(nowMs / 1000)
  const assertion = await new SignJWT({})
    .setProtectedHeader({ alg: 'ES384', typ: 'JWT', kid: demo.kid ?? '' })
    .setIssuer('demo')
    .setSubject('demo')
    .setAudience(`${base}/auth/token`)
    .setJti(crypto.randomUUID())
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + 120)
    .sign(await importJWK(demo, 'ES384'))
  const response = await fetch(`${base}/auth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      scope: 'system/*.rs',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
    }),
  })
  if (!response.ok) throw new Error(`token: ${response.status} ${await response.text()}`)
  return ((await response.json()) as { access_token: string }).access_token
}

/** Each client polls its job until the time is over. @returns Polls. */
const polls = async (
  measured: Measured,
  urls: readonly string[],
  { now, untilMs, times }: { readonly now: Clock; readonly untilMs: number; readonly times: number },
): Promise<number> => {
  let token = await tokenAt(measured, now())
  const renewal = async (): Promise<void> => {
    while (now() < untilMs) {
      await delay(Math.max(0, Math.min(TOKEN_LIVES_MS, untilMs - now())) / times)
      token = await tokenAt(measured, now())
    }
  }
  let count = 0
  const client = async (url: string, index: number): Promise<void> => {
    await delay((POLL_EVERY_MS * (index / urls.length)) / times)
    for (; now() < untilMs; await delay(POLL_EVERY_MS / times)) {
      const { status } = await download(url, { Authorization: `Bearer ${token}` })
      if (status !== RUNNING) throw new Error(`a poll was answered ${status}`)
      count += 1
    }
  }
  await Promise.all([renewal(), ...urls.map(client)])
  return count
}

/** What a vendor is asked in ten minutes by jobs that nobody polls, and by jobs that are polled all the time. The clock is a fast one. */
export default {
  name: 'vendor-schedule',
  sabotage: [{ name: 'chatty', options: { group: runningGroup(VENDOR_WAIT_SECONDS, 'polled') } }],
  measure: ({ layers, clients, clockTimes: times }) => {
    const fromMs = Date.now() + START_MS + (2_000 * clients) / KICKOFF_RATE
    const now: Clock = () => (Date.now() < fromMs ? Date.now() : fromMs + (Date.now() - fromMs) * times)
    const clock = { name: 'scaled-clock', options: { times, fromMs } }
    return withFacade({ retention: 'none', layers: [clock, ...layers] }, async (measured) => {
      const { kickOffs, vendor } = measured
      const polled = runningGroup(VENDOR_WAIT_SECONDS, 'polled')
      const silent = runningGroup(VENDOR_WAIT_SECONDS, 'silent')
      const startedMs = Date.now()
      await kickOffs(silent, clients)
      const urls = await kickOffs(polled, clients)
      if (Date.now() > fromMs || Date.now() > startedMs + MOST_LATE_MS)
        throw new Error(`${2 * clients} jobs could not be started in time; use a machine that is less busy`)
      await delay(fromMs - Date.now())
      const untilMs = startedMs + OBSERVED_MS
      // Not when the last poll is over: by then a fourth status request may be due.
      const counted = delay((untilMs - fromMs) / times).then(() => vendor.counts())
      const count = await polls(measured, urls, { now, untilMs, times })
      const { status } = await counted
      const due = (clients * (untilMs - fromMs)) / POLL_EVERY_MS
      const [ours, unpolled] = [status[polled] ?? 0, status[silent] ?? 0]
      const isLate = ours !== unpolled && count < LEAST_SHARE * due
      const lateness = isLate ? ' (the machine is too busy for this row)' : ''
      return [
        {
          what: `10 minutes of ${clients} polled jobs`,
          unit: 'vendor requests',
          figure: ours,
          yardstick: unpolled,
          budget: { of: 'difference', atLeast: 0, atMost: 0, isCounted: true },
          note: `${count} of ${Math.round(due)} polls${lateness}, ${STATUS_REQUESTS * clients} vendor requests due`,
        },
      ]
    })
  },
} satisfies BenchRow as BenchRow
