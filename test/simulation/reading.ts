import type { JobState } from '../../src/job/model.ts'
import { isLost, type ClientAnswer } from './clients.ts'
import type { OurJob, OurJobs } from './jobs.ts'
import { PUBLIC_BASE } from './numbers.ts'
import type { Plan } from './plan.ts'
import { sha256Of } from './polyfills.ts'
import type { Vendor } from './vendor.ts'
import { organizedRows, partOf, rowsWanted } from './delivered.ts'
import type { World } from './world.ts'

/** How an export stood when it was asked about. */
export interface Before {
  readonly state: JobState
  readonly isDeleted: boolean
  readonly atMs: number
}

interface Entry {
  readonly type?: string
  readonly url: string
  readonly count?: number
}

interface Manifest {
  readonly output: readonly Entry[]
  readonly deleted: readonly Entry[]
  readonly error: readonly Entry[]
  readonly outputOrganizedBy?: string
  readonly link?: readonly { readonly url: string }[]
}

/** HTTP dates have no milliseconds. */
const HTTP_DATE_MS = 1000

/** Longer than any request waits for an answer. */
const SETTLED_MS = 120_000

const isGone = ({ state }: OurJob): boolean => state === 'cancelled' || state === 'expired'

const isOver = (state: JobState): boolean =>
  state !== 'queued' && state !== 'submitting' && state !== 'running' && state !== 'collecting'

/** Holds what a client reads against what it read before, and against what the vendor has. */
export class Reading {
  readonly #world: World
  readonly #plan: Plan
  readonly #ours: OurJobs
  readonly #vendor: Vendor
  /** What was read of each job in one go. */
  readonly #delivered = new Map<
    OurJob,
    { readonly parts: Set<string>; readonly rows: string[]; issues: number; isWhole: boolean }
  >()

  constructor(world: World, plan: Plan, ours: OurJobs, vendor: Vendor) {
    this.#world = world
    this.#plan = plan
    this.#ours = ours
    this.#vendor = vendor
  }

  /** @returns What is to be read next: files, or another page of the manifest. */
  status(job: OurJob, before: Before & { readonly page: number }, answer: ClientAnswer): 'nothing' | 'files' | number {
    const world = this.#world
    const { status, text = '' } = answer
    if (before.isDeleted) {
      world.held(status === 404, `after DELETE a status request is 404, not ${status} [DL-02]`)
      return 'nothing'
    }
    if (before.atMs >= job.expiresMs) {
      world.held(status === 404, `after Expires a status request is 404, not ${status}`)
      return 'nothing'
    }
    switch (status) {
      case 202:
        world.held(!isOver(before.state), `an export that is ${before.state} is not in progress again`)
        world.held(text === '' || job.plan.isPaged, 'a page is told before the end only to who wants it [PA-18]')
        return text === '' ? 'nothing' : this.#page(job, before.page, text, false)
      case 200: {
        world.held(before.state !== 'failed', 'an export that failed is not complete later')
        const expiresMs = Date.parse(answer.headers.get('Expires') ?? '')
        world.held(Math.abs(job.expiresMs - expiresMs) <= HTTP_DATE_MS, 'Expires is as long after the end as was promised')
        if (before.page === 1) {
          world.held(job.manifest === undefined || job.manifest === text, 'a manifest never changes once it was given')
          job.manifest = text
        }
        return this.#page(job, before.page, text, true)
      }
      case 404:
        world.held(
          isGone(job) || world.now >= job.expiresMs || job.answered !== 'accepted',
          `an export that is ${job.state} is not 404`,
        )
        return 'nothing'
      default:
        world.held(before.state !== 'complete', `a complete export is not answered ${status}: ${text}`)
        world.held(job.failure === undefined || job.failure === text, 'the reason of a failure never changes')
        job.failure = text
        return 'nothing'
    }
  }

  pathsOf(job: OurJob): string[] {
    const urls = entriesOf(job).map(({ url }) => url)
    this.#world.held(new Set(urls).size === urls.length, 'no file stands on two pages, or twice on one [ST-14]')
    return urls.map((url) => url.slice(PUBLIC_BASE.length))
  }

  /** Takes a page of the manifest. @returns What is to be read next. */
  #page(job: OurJob, number: number, text: string, isComplete: boolean): 'files' | number {
    const { link, ...told } = JSON.parse(text) as Manifest
    const { organizes, streams } = this.#plan
    this.#world.held((told.outputOrganizedBy === 'Patient') === (organizes && !streams), 'an export is organized as was asked')
    const known = job.pages.get(number)
    const same = JSON.stringify(told)
    this.#world.held(known === undefined || known === same, `page ${number} stays as it was told [ST-14]: ${known} and ${same}`)
    job.pages.set(number, same)
    if (link !== undefined) return number + 1
    job.isListed ||= isComplete
    return 'files'
  }

  file(job: OurJob, before: Before & { readonly path: string }, answer: ClientAnswer): void {
    const world = this.#world
    const { status, text } = answer
    const reading = this.#delivered.get(job) ?? { parts: new Set<string>(), rows: [], issues: 0, isWhole: true }
    this.#delivered.set(job, reading)
    if (status !== 200 || text === undefined || isLost(answer)) {
      reading.isWhole = false
      this.#notHad(job, before, answer)
      return
    }
    world.held(!before.isDeleted, 'after DELETE no file is given [DL-02]')
    world.held(before.atMs < job.expiresMs, 'after Expires no file is given')
    const digest = sha256Of(text)
    const known = job.digests.get(before.path)
    world.held(known === undefined || known === digest, 'a file has the same bytes each time')
    job.digests.set(before.path, digest)
    const entry = entriesOf(job).find(({ url }) => url.endsWith(before.path))
    const isOrganized = entry !== undefined && entry.type === undefined
    const rows = isOrganized ? organizedRows(text) : undefined
    const lines = rows?.length ?? text.split('\n').length - 1
    world.held(entry?.count === undefined || entry.count === lines, `count is ${entry?.count}, and there are ${lines} lines`)
    if (!this.#plan.streams) world.held(answer.headers.get('ETag') === `"${digest}"`, 'the tag of a file is its hash')
    if (entry?.type === 'OperationOutcome') {
      reading.issues += lines
      return
    }
    if (rows) {
      reading.rows.push(...rows)
      return
    }
    const part = partOf(this.#vendor, job, entry?.type, text)
    if (part !== undefined) reading.parts.add(part)
    else world.broken(`every file is one that the vendor has for this export, whole, and not ${JSON.stringify(text)}`)
  }

  /** All URLs were read once: every file of the vendor's is there, or reported. */
  all(job: OurJob): void {
    const reading = this.#delivered.get(job)
    this.#delivered.delete(job)
    if (!reading?.isWhole || !job.isListed || this.#plan.streams) return
    const [vendorJob] = this.#vendor.jobs.filter(({ forJob, isDone }) => forJob === job.number && isDone)
    const files = vendorJob?.files ?? []
    if (this.#plan.organizes) {
      const wanted = rowsWanted(files)
      const delivered = new Set(reading.rows)
      this.#world.held(delivered.size === reading.rows.length, 'no row stands in two places of organized output')
      this.#world.held(
        reading.rows.every((row) => wanted.has(row)),
        'organized output has nothing but rows of the vendor, with their patients',
      )
      const isWhole = reading.issues > 0 || delivered.size === wanted.size
      this.#world.held(isWhole, `organized output has all ${wanted.size} rows and not ${delivered.size}, or says what is missing`)
      return
    }
    const isMissing = (part: string): boolean => !reading.parts.has(part)
    const partsOf = files.map(({ index, wanted }) => [...wanted.keys()].map((type) => `${index}/${type}`))
    const missing = partsOf.filter((parts) => parts.some(isMissing)).length
    const most = partsOf.reduce((sum, parts) => sum + Math.max(1, parts.length), 0)
    this.#world.held(missing <= reading.issues, `${missing} files are missing and ${reading.issues} are reported [ST-09]`)
    this.#world.held(reading.issues <= most - reading.parts.size, 'no file that was delivered is reported as missing')
  }

  #notHad(job: OurJob, before: Before, { status, text }: ClientAnswer): void {
    if (before.isDeleted || before.atMs >= job.expiresMs) {
      this.#world.held(status === 404 || status === 500, `a file that is gone is 404, not ${status}`)
      return
    }
    const { calmSinceMs } = this.#ours
    // What was under way when it became calm may still fail.
    const isCalm = calmSinceMs > 0 && before.atMs >= calmSinceMs + (this.#plan.streams ? SETTLED_MS : 0)
    const isPromised =
      isCalm &&
      // A page that was told is as good as a manifest.
      (job.state === 'complete' || job.state === 'collecting') &&
      (!this.#plan.streams || (this.#plan.habit === 'sound' && !this.#vendor.tokens.hadTrouble))
    if (isPromised) this.#world.broken(`every URL of a manifest works until Expires, and this one gives ${status} ${text}`)
  }
}

/** All that its pages list so far. */
const entriesOf = (job: OurJob): Entry[] =>
  [...job.pages.values()].flatMap((page) => {
    const { output, deleted, error } = JSON.parse(page) as Manifest
    return [...output, ...deleted, ...error]
  })
