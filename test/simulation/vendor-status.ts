import { BROKEN, cut, html, json, outcome, SILENT, spoken, waitOf, type Answer, type Spoken, type Wait } from './answers.ts'
import { FLOOR_MS, MAX_POLL_MS, POLL_MS, VENDOR_BASE } from './numbers.ts'
import type { Exchange, Vendor } from './vendor.ts'
import type { VendorJob } from './vendor-job.ts'

const bounded = (waitMs: number): number => Math.min(MAX_POLL_MS, Math.max(FLOOR_MS, waitMs))

/** Files of the first page, when there are two. */
const FIRST_PAGE = 1

const manifest = (vendor: Vendor, job: VendorJob, isSecond: boolean): Spoken => {
  const { pages, counts, streams } = vendor.plan
  const entries = job.files.map(({ index, type, lines }) => ({
    type,
    url: `${VENDOR_BASE}/files/${job.number}/${index}?key=${job.generation}`,
    ...(counts ? { count: lines } : {}),
  }))
  const isSplit = pages && !streams && entries.length > FIRST_PAGE
  const output = isSplit ? (isSecond ? entries.slice(FIRST_PAGE) : entries.slice(0, FIRST_PAGE)) : entries
  return json(200, {
    transactionTime: new Date(job.takenMs).toISOString(),
    request: 'theirs',
    requiresAccessToken: true,
    output,
    error: [],
    ...(isSplit && !isSecond ? { link: [{ relation: 'next', url: `${VENDOR_BASE}/status/${job.number}?page=2` }] } : {}),
  })
}

interface Said {
  readonly answer: Answer
  /** Wait that it asks for, within bounds; the floor when it asks for none. */
  readonly waitMs?: number
}

const runs = (vendor: Vendor, form: number, progress = 'working'): Said => {
  const wait: Wait = waitOf(form, vendor.world.now)
  return {
    answer: spoken(202, { 'X-Progress': progress, ...wait.headers }),
    waitMs: bounded(wait.waitMs ?? POLL_MS),
  }
}

const trouble = (vendor: Vendor, status: number, form: number): Said => {
  const wait = waitOf(form, vendor.world.now)
  return { answer: spoken(status, wait.headers), waitMs: bounded(wait.waitMs ?? 0) }
}

const usual = (vendor: Vendor, job: VendorJob): Said => {
  const { habit, waitForm } = vendor.plan
  if (habit === 'endless') return runs(vendor, waitForm)
  if (habit === 'mute') return trouble(vendor, 500, 0)
  if (habit === 'fails-jobs') {
    job.isRunning = false
    return { answer: outcome(200, 'processing') }
  }
  if (habit === 'loses-jobs') {
    job.isLost = true
    return { answer: spoken(404) }
  }
  if (job.pollsLeft > 0) {
    job.pollsLeft -= 1
    return runs(vendor, waitForm, `${50 - job.pollsLeft} %`)
  }
  job.isRunning = false
  job.isDone = true
  return { answer: manifest(vendor, job, false) }
}

const said = (vendor: Vendor, job: VendorJob, fault: number): Said => {
  const form = fault >> 4
  if (job.isLost) return { answer: spoken(404) }
  switch (fault % 24) {
    case 1:
      return runs(vendor, form, '100%')
    case 2:
      return trouble(vendor, 429, form)
    case 3:
      return trouble(vendor, 500, form)
    case 4:
      return trouble(vendor, 502, form)
    case 5:
      return trouble(vendor, 503, form)
    case 6:
      return trouble(vendor, 504, form)
    case 7:
      return { answer: BROKEN }
    case 8: {
      usual(vendor, job)
      return { answer: BROKEN }
    }
    case 9:
      return { answer: spoken(200) }
    case 10:
      return { answer: html() }
    case 11:
      return { answer: json(200, { transactionTime: 'now', output: 'none' }) }
    case 12: {
      const { answer } = usual(vendor, job)
      return { answer: answer.kind === 'spoken' ? cut(answer) : answer }
    }
    case 13:
      job.isLost = true
      return { answer: spoken(404) }
    case 14:
      job.isRunning = false
      return { answer: outcome(422, 'processing') }
    case 15:
      return { answer: SILENT }
    case 16: {
      const { answer } = usual(vendor, job)
      return { answer: answer.kind === 'spoken' ? cut(answer, 'silent') : answer }
    }
    case 17:
      vendor.tokens.revoke()
      return { answer: outcome(401, 'login') }
    case 18:
      // Done, and at work again a moment later.
      if (job.isDone) {
        job.isRunning = true
        job.wentBack = true
        job.pollsLeft += 1
      }
      return runs(vendor, form)
    case 19:
      job.generation += 1
      return usual(vendor, job)
    default:
      return usual(vendor, job)
  }
}

/** The status of an export, or the second page of its manifest. */
export const statusAnswer = (
  vendor: Vendor,
  job: VendorJob,
  isSecondPage: boolean,
  authorized: (answer: () => Answer) => Answer,
): Exchange => {
  const { world } = vendor
  const sentMs = world.now
  const { owner } = world
  if (isSecondPage) {
    return {
      answer: (fault) =>
        authorized(() => (fault % 4 === 1 ? spoken(503) : fault % 4 === 2 ? BROKEN : manifest(vendor, job, true))),
    }
  }
  // Once it has finished, its status is read again for URLs alone, when a file needs one.
  const our = vendor.our(job)
  if (our?.state === 'running' && sentMs < job.pollFromMs)
    world.broken(`no status request ${job.pollFromMs - sentMs} ms too early [N-16]`)
  // Until an answer is there, nothing but the floor is known; whoever crashed before does not know of this request at all.
  let heard: (() => void) | undefined
  return {
    answer: (fault) => {
      let waitMs = FLOOR_MS
      const answer = authorized(() => {
        const told = said(vendor, job, fault)
        waitMs = told.waitMs ?? FLOOR_MS
        return told.answer
      })
      // Who is refused for its token asks again with another one, at once [N-12].
      const isRefused = answer.kind === 'spoken' && answer.status === 401
      const fromMs = isRefused ? 0 : world.now + waitMs
      heard = () => {
        job.pollFromMs = fromMs
      }
      return answer
    },
    arrived: () => heard?.(),
    failed: () => {
      if (owner.alive) job.pollFromMs = sentMs + FLOOR_MS
    },
  }
}
