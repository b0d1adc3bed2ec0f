import { evictDurableObject } from 'cloudflare:test'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Bench, manifestOf, namesIn, ring, type JobStub } from './job-support.ts'
import { EVERYTHING, bindings, holdTime, letGo, ndjson } from './support.ts'

/* Vendors that vanish, miscount, list twice, and whose URLs run out. */

const HOUR_MS = 3_600_000
let bench: Bench

// Megabytes, on a machine that may be busy.
vi.setConfig({ testTimeout: 30_000 })

beforeEach(() => {
  holdTime()
  bench = Bench.withSource()
})
afterEach(letGo)

const ringTillDone = async (job: JobStub, turns = 300): Promise<void> => {
  for (let turn = 0; turn < turns && (await bench.kind(job)) === 'in-progress'; turn++) await ring(job)
}

/** The outcomes in `error`, in words. */
const outcomesOf = async (job: JobStub): Promise<string[]> => {
  const { error } = await manifestOf(bench, job)
  const texts: string[] = []
  for (const name of namesIn(error)) {
    const file = await job.file({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, name)
    if (file.kind === 'text') texts.push(...file.text.trim().split('\n'))
  }
  return texts
}

const patients = (urls: readonly string[]) => urls.map((url) => ({ type: 'Patient', url }))
const counts = async (job: JobStub) => (await manifestOf(bench, job)).output.map(({ count }) => count)

/** Nothing is to be had of it, status included, from the moment that the files are known. */
const outage = (names: readonly string[], lastsMs: number) => {
  const urls = names.map((name) => bench.file(name))
  const times: number[] = []
  let untilMs = Infinity
  const orGone = (answer: () => Response) => () => {
    if (Date.now() >= untilMs) return answer()
    times.push(Date.now())
    throw new Error('connection refused')
  }
  for (const url of urls)
    bench.vendor.on(
      `GET ${url}`,
      orGone(() => new Response(ndjson('Patient', 1))),
    )
  const manifest = bench.manifest(patients(urls))
  bench.vendor.on(
    bench.status,
    () => {
      untilMs = Date.now() + lastsMs
      return manifest()
    },
    orGone(manifest),
  )
  return times
}

describe('a vendor that is not there', () => {
  it('for three hours costs no file, and is not asked for file after file meanwhile', async () => {
    const names = Array.from({ length: 20 }, (_, index) => `f${index}`)
    const times = outage(names, 3 * HOUR_MS)
    const { job } = await bench.start()
    const beganMs = Date.now()
    for (let turn = 0; turn < 20; turn++) await ring(job)
    const perMinute = Map.groupBy(times, (ms) => Math.floor(ms / 60_000))
    expect(Math.max(...[...perMinute.values()].map(({ length }) => length))).toBeLessThan(12)
    // Then with late alarms, which do no harm.
    while (Date.now() < beganMs + 3 * HOUR_MS) {
      await ring(job)
      vi.setSystemTime(Date.now() + 600_000)
    }
    await ringTillDone(job)
    expect(await counts(job)).toEqual(names.map(() => 1))
    expect((await manifestOf(bench, job)).error).toEqual([])
    expect(Date.now() - beganMs).toBeLessThan(3.5 * HOUR_MS)
  })

  it('until the deadline costs the files that are left, and says so; the rest is delivered', async () => {
    bench = Bench.withSource({ limits: { deadlineSeconds: 7_200 } })
    const here = bench.file('here', ndjson('Patient', 2))
    const away = bench.file('away')
    let isAway = false
    const orGone = (answer: () => Response) => () => {
      if (isAway) throw new Error('connection refused')
      return answer()
    }
    bench.vendor.on(`GET ${away}`, () => {
      isAway = true
      throw new Error('connection refused')
    })
    bench.vendor.on(bench.status, orGone(bench.manifest(patients([here, away]))))
    const { job } = await bench.start()
    const beganMs = Date.now()
    await ringTillDone(job)
    expect(await counts(job)).toEqual([2])
    expect(await outcomesOf(job)).toEqual([expect.stringContaining("could not be read within the source's deadline")])
    expect(Date.now() - beganMs).toBeLessThan(2 * HOUR_MS + 60_000)
  })
})

it('a gate that gives no token for ten minutes is not the files’ fault: none of their attempts is used up', async () => {
  const { GATES } = bindings
  const url = bench.file('p')
  bench.vendor.on(
    `GET ${url}`,
    () => new Response(null, { status: 404 }),
    () => new Response(ndjson('Patient', 2)),
  )
  bench.vendor.on(bench.status, bench.manifest(patients([url])))
  const { job } = await bench.start()
  await ring(job)
  await evictDurableObject(job)
  const broken = {
    permit: async () => ({ kind: 'granted', isProbe: false }),
    report: async () => undefined,
    token: async () => Promise.reject(new Error('Durable Object reset because its code was updated.')),
  }
  Object.assign(bindings, { GATES: { idFromName: (name: string) => name, get: () => broken } })
  for (let turn = 0; turn < 10; turn++) await ring(job)
  Object.assign(bindings, { GATES })
  await evictDurableObject(job)
  await ringTillDone(job)
  expect([await counts(job), await outcomesOf(job)]).toEqual([[2], []])
})

describe('one file that is not to be had', () => {
  it('while all others are is reported within the hour; the rest is delivered [ST-09]', async () => {
    const never = bench.file('never')
    bench.vendor.on(`GET ${never}`, () => new Response(null, { status: 503 }))
    const urls = [never, bench.file('a', ndjson('Patient', 1)), bench.file('b', ndjson('Patient', 2))]
    bench.vendor.on(bench.status, bench.manifest(patients(urls)))
    const { job } = await bench.start()
    const beganMs = Date.now()
    await ringTillDone(job)
    expect(await counts(job)).toEqual([1, 2])
    expect(await outcomesOf(job)).toEqual([expect.stringContaining('the source did not give it')])
    expect(Date.now() - beganMs).toBeLessThan(HOUR_MS)
    // Six that count, and one before the vendor could be asked whether it is there.
    expect(bench.vendor.count(`GET ${never}`)).toBe(7)
  })

  it('does not keep the others from their turn, also where the status cannot be read again', async () => {
    const never = ['w', 'x', 'y', 'z'].map((name) => bench.file(name))
    for (const url of never) bench.vendor.on(`GET ${url}`, () => new Response(null, { status: 503 }))
    const last = bench.file('last', ndjson('Patient', 1))
    bench.vendor.on(bench.status, bench.manifest(patients([...never, last])), () => new Response(null, { status: 503 }))
    const { job } = await bench.start()
    for (let turn = 0; turn < 4; turn++) await ring(job)
    expect(bench.vendor.count(`GET ${last}`)).toBe(1)
  })

  it('at first, and is a minute later: 404 on a fresh file costs nothing [N-28]', async () => {
    const url = bench.file('fresh')
    const untilMs = Date.now() + 60_000
    bench.vendor.on(`GET ${url}`, () =>
      Date.now() < untilMs ? new Response(null, { status: 404 }) : new Response(ndjson('Patient', 3)),
    )
    bench.vendor.on(bench.status, bench.manifest(patients([url])))
    const { job } = await bench.start()
    await ringTillDone(job)
    expect([await counts(job), (await manifestOf(bench, job)).error]).toEqual([[3], []])
  })
})

const announced = (count: number, ...answers: (() => Response)[]) => {
  const url = bench.file('p')
  bench.vendor.on(`GET ${url}`, ...answers)
  bench.vendor.on(bench.status, bench.manifest([{ type: 'Patient', url, count }]))
  return `GET ${url}`
}

const sized = (text: string) => () => new Response(text, { headers: { 'Content-Length': `${text.length}` } })

const unsized = (text: string) => () => new Response(text)

describe('lines that are not as many as announced', () => {
  it.each([
    ['too high', 5, sized],
    ['too high, without a length', 5, unsized],
    ['too low', 2, sized],
    ['too low, without a length', 2, unsized],
    ['none', 0, unsized],
  ] as const)('%s: delivered with a warning after a second reading that is the same', async (_, count, answer) => {
    const get = announced(count, answer(ndjson('Patient', 3)))
    const { job } = await bench.start()
    await ringTillDone(job)
    expect(await counts(job)).toEqual([3])
    expect(await outcomesOf(job)).toEqual([
      expect.stringContaining(`holds 3 resources as the source gives it, and the source announced ${count}`),
    ])
    expect(bench.vendor.count(get)).toBe(2)
  })

  it('as announced: read once, and no warning', async () => {
    const get = announced(3, unsized(ndjson('Patient', 3)))
    const { job } = await bench.start()
    await ringTillDone(job)
    expect([await counts(job), await outcomesOf(job), bench.vendor.count(get)]).toEqual([[3], [], 1])
  })

  it('truncated once at a line, then whole: delivered whole, and no warning', async () => {
    announced(3, unsized(ndjson('Patient', 2)), unsized(ndjson('Patient', 3)))
    const { job } = await bench.start()
    await ringTillDone(job)
    expect([await counts(job), await outcomesOf(job)]).toEqual([[3], []])
  })

  it('truncated in two ways, then whole: two readings that differ settle nothing', async () => {
    announced(3, unsized(ndjson('Patient', 1)), unsized(ndjson('Patient', 2)), unsized(ndjson('Patient', 3)))
    const { job } = await bench.start()
    await ringTillDone(job)
    expect([await counts(job), await outcomesOf(job)]).toEqual([[3], []])
  })

  it('none at all where some were announced: tried again, then reported, never taken for empty', async () => {
    const get = announced(3, unsized(''))
    const other = bench.file('o', ndjson('Observation', 1))
    bench.vendor.on(
      bench.status,
      bench.manifest([
        { type: 'Patient', url: bench.file('p'), count: 3 },
        { type: 'Observation', url: other },
      ]),
    )
    const { job } = await bench.start()
    await ringTillDone(job)
    expect(await counts(job)).toEqual([1])
    expect(await outcomesOf(job)).toEqual([expect.stringContaining('the source broke it off each time')])
    expect(bench.vendor.count(get)).toBe(6)
  })

  it('at a vendor that miscounts: three files are read twice, and no further one', async () => {
    const urls = Array.from({ length: 6 }, (_, index) => bench.file(`m${index}`, ndjson('Patient', 2)))
    const answer = bench.manifest(urls.map((url) => ({ type: 'Patient', url, count: 7 })))
    bench.vendor.on(bench.status, answer)
    // The last three come when the first have been read twice.
    for (const url of urls.slice(3)) {
      const readyMs = Date.now() + 120_000
      bench.vendor.on(`GET ${url}`, () =>
        Date.now() < readyMs ? new Response(null, { status: 404 }) : new Response(ndjson('Patient', 2)),
      )
    }
    const { job } = await bench.start()
    await ringTillDone(job)
    expect(await counts(job)).toEqual([2, 2, 2, 2, 2, 2])
    expect(await outcomesOf(job)).toHaveLength(6)
    const whole = urls.slice(3).map((url) => bench.vendor.count(`GET ${url}`))
    // 404 at 0, 2, 12 and 62 s, and one that counts.
    expect(whole).toEqual([5, 5, 5])
    expect(urls.slice(0, 3).map((url) => bench.vendor.count(`GET ${url}`))).toEqual([2, 2, 2])
  })
})

/** The vendor signs all URLs anew each time that its status is asked for. */
const signing = (names: readonly string[], answer: (signedMs: number) => Response, more: readonly string[] = []) => {
  const asked: number[] = []
  bench.vendor.on(bench.status, () => {
    const signedMs = Date.now()
    asked.push(signedMs)
    const urls = names.map((name) => {
      const url = `${bench.file(name)}?X-Amz-Signature=${signedMs}`
      bench.vendor.on(`GET ${url}`, () => answer(signedMs))
      return url
    })
    return bench.manifest(patients([...urls, ...more]))()
  })
  return asked
}

const gapsOf = (times: readonly number[]) => times.slice(2).map((ms, index) => ms - (times[index + 1] ?? 0))

describe('URLs that run out', () => {
  const twelve = Array.from({ length: 12 }, (_, index) => `s${index}`)

  it('after 2 s, with twelve slow files: all are had, and the status is asked for no more often than it may be [N-25]', async () => {
    const asked = signing(twelve, (signedMs) => {
      const age = Date.now() - signedMs
      vi.setSystemTime(Date.now() + 700)
      return age > 2_000 ? new Response(null, { status: 403 }) : new Response(ndjson('Patient', 1))
    })
    const { job } = await bench.start()
    await ringTillDone(job)
    expect([await counts(job), await outcomesOf(job)]).toEqual([twelve.map(() => 1), []])
    expect(Math.min(...gapsOf(asked))).toBeGreaterThanOrEqual(5_000)
  })

  it.each([403, 410])('at once, with %i: reported, and the status is asked for no more often than it may be', async (status) => {
    const fine = bench.file('fine', ndjson('Patient', 2))
    const asked = signing(twelve, () => new Response(null, { status }), [fine])
    const { job } = await bench.start()
    const beganMs = Date.now()
    await ringTillDone(job)
    expect(await counts(job)).toEqual([2])
    expect(await outcomesOf(job)).toHaveLength(12)
    expect(Math.min(...gapsOf(asked))).toBeGreaterThanOrEqual(5_000)
    expect(Date.now() - beganMs).toBeLessThan(HOUR_MS)
  })

  it('and are never signed anew: forty files that are refused for ever end within the hour, and without a storm', async () => {
    const names = Array.from({ length: 40 }, (_, index) => bench.file(`c${index}`))
    for (const url of names) bench.vendor.on(`GET ${url}`, () => new Response(null, { status: 403 }))
    bench.vendor.on(bench.status, bench.manifest(patients([...names, bench.file('fine', ndjson('Patient', 2))])))
    const { job } = await bench.start()
    const beganMs = Date.now()
    await ringTillDone(job)
    expect(await counts(job)).toEqual([2])
    expect(Date.now() - beganMs).toBeLessThan(HOUR_MS)
    expect(bench.vendor.requests.length).toBeLessThan(40 * 10)
  })

  it('in a manifest that lists a file twice: it is delivered once, and each file keeps its own URL', async () => {
    let statuses = 0
    const urlsOf = (mark: number) => ['a', 'a', 'b'].map((name) => `${bench.file(name)}?X-Amz-Signature=${mark}`)
    bench.vendor.on(bench.status, () => {
      const urls = urlsOf((statuses += 1))
      for (const url of urls) {
        const lines = url.includes('/a?') ? 1 : 2
        const isOld = statuses === 1
        bench.vendor.on(`GET ${url}`, () =>
          isOld ? new Response(null, { status: 403 }) : new Response(ndjson('Patient', lines)),
        )
      }
      return bench.manifest(patients(urls))()
    })
    const { job } = await bench.start()
    await ringTillDone(job)
    expect([await counts(job), await outcomesOf(job)]).toEqual([[1, 2], []])
  })
})
