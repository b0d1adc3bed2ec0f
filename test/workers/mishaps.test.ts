import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ledgerOf } from '../../src/client/client-ledger.ts'
import type { ExportJob } from '../../src/job/export-job.ts'
import { BucketError } from '../../src/job/bucket.ts'
import { MIN_PART_BYTES } from '../../src/job/part-size.ts'
import { alarmOf, Bench, manifestOf, namesIn, ring, ringUntil, settled, stored, stubOf } from './job-support.ts'
import { EVERYTHING, addSource, bindings, holdTime, letGo, ndjson, storeFile } from './support.ts'

let bench: Bench
const { FILES, GATES } = bindings
beforeEach(() => {
  holdTime()
  bench = Bench.withSource()
})
const failing = async () => Promise.reject(new Error('down'))
const tooShort = async () => new Response(ndjson('Patient', 1), { headers: { 'Content-Length': '5000' } })

afterEach(() => {
  Object.assign(bindings, { FILES, GATES })
  letGo()
})

it('an object can be evicted right after it has spoken to a vendor', async () => {
  const { job } = await bench.start()
  const evicted = evictDurableObject(job).then(() => 'evicted')
  expect(await Promise.race([evicted, new Promise((resolve) => setTimeout(() => resolve('pinned'), 1_000))])).toBe('evicted')
})

it('files whose URLs differ in the query only keep their own URL when they are signed anew [N-25]', async () => {
  const names = ['a', 'b']
  const signed = (mark: string) =>
    names.map((name) => ({ type: 'Patient', url: `${bench.file('get')}?name=${name}&sig=${mark}` }))
  for (const { url } of signed('old')) bench.vendor.on(`GET ${url}`, () => new Response('', { status: 403 }))
  for (const [index, { url }] of signed('new').entries())
    bench.vendor.on(`GET ${url}`, () => new Response(ndjson('Patient', index + 1)))
  bench.vendor.on(bench.status, bench.manifest(signed('old')), bench.manifest(signed('new')))
  const { job } = await bench.complete()
  expect((await manifestOf(bench, job)).output.map(({ count }) => count)).toEqual([1, 2])
})

it('a blank line that is alone in the last block is cleaned like any other', async () => {
  const size = MIN_PART_BYTES + 256 * 1024
  const line = `{"resourceType":"Patient","id":"1","x":"${'x'.repeat(1024 - 43)}"}\n`
  const text = line.repeat(size / 1024)
  expect(text).toHaveLength(size)
  const dirty = `${text}\n`
  const open = async () => new Response(dirty, { headers: { 'Content-Length': `${dirty.length}` } })
  expect(await storeFile('blank-line', open, 'Patient')).toMatchObject({ bytes: size })
})

it('a small file shorter than announced leaves no object behind', async () => {
  await expect(storeFile('too-short', tooShort, 'Patient')).rejects.toThrow('shorter')
  expect(await FILES.head('too-short')).toBeNull()
})

it('a purged job leaves its client’s list also when its source is no longer configured', async () => {
  const { job } = await bench.start({ clientId: 'forgotten' })
  // A source removed by a deploy: a new isolate, which has never read it.
  const gone = addSource()
  await runInDurableObject<ExportJob, void>(job, (_, { storage }) => {
    storage.sql.exec(`UPDATE job SET body = replace(body, '"sourceId":"${bench.source.id}"', '"sourceId":"gone-${gone.id}"')`)
  })
  await evictDurableObject(job)
  await job.delete({ clientId: 'forgotten', sourceId: `gone-${gone.id}`, scopes: EVERYTHING })
  await settled(job)
  await ringUntil(job, async () => (await stored(job)) === '')
  expect((await ledgerOf(bindings, 'forgotten').jobs({ limit: 10 })).jobs).toEqual([])
})

it('one job that cannot be loaded does not keep the sweep from the others', async () => {
  const broken = await bench.start({ jobId: 'unreadable' })
  const other = await bench.start({ jobId: 'readable' })
  await runInDurableObject<ExportJob, void>(broken.job, async (_, { storage }) => {
    storage.sql.exec('UPDATE job SET version = 99')
    await storage.deleteAlarm()
  })
  await evictDurableObject(broken.job)
  await runInDurableObject<ExportJob, void>(other.job, async (_, { storage }) => storage.deleteAlarm())
  await GATES.get(GATES.idFromName(bench.source.id))
    .sweep()
    .catch(() => undefined)
  expect(await alarmOf(other.job)).not.toBeNull()
})

it('an effect that fails is not tried again in the same instant, for ever', async () => {
  bench.vendor.on(bench.status, bench.small())
  const { job } = await bench.complete()
  await job.delete({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING })
  await settled(job)
  Object.assign(bindings, { FILES: { list: async () => Promise.reject(new Error('R2 is down')) } })
  await ring(job)
  expect(await alarmOf(job)).toBeGreaterThan(Date.now())
})

it('a kick-off that the vendor did not take does not use up the cool-down', async () => {
  bench = Bench.withSource({ limits: { kickoffEverySeconds: 86_400 } })
  bench.vendor.on(bench.kickoff, () => new Response(null, { status: 503, headers: { 'Retry-After': '10' } }), bench.accepted())
  const { job } = await bench.start()
  await ring(job)
  expect(await bench.view(job)).toMatchObject({ progress: 'in progress' })
})

it('a slot is given back although the gate could not be reached at first', async () => {
  bench = Bench.withSource({ limits: { inFlight: 1 } })
  bench.vendor.on(bench.status, bench.manifest([]))
  const { job } = await bench.start()
  Object.assign(bindings, {
    GATES: {
      idFromName: (name: string) => name,
      get: () => ({ release: failing, token: async () => ({ kind: 'token', token: 't', expiresMs: 0 }) }),
    },
  })
  await ring(job)
  Object.assign(bindings, { GATES })
  for (let turn = 0; turn < 3; turn++) await ring(job)
  expect(
    await GATES.get(GATES.idFromName(bench.source.id)).acquire({
      sourceId: bench.source.id,
      jobId: 'next',
      clientId: 'a',
      target: 't',
      leaseMs: 1,
    }),
  ).toEqual({ kind: 'granted' })
})

it('a file of lines whose type cannot be told is reported, not dropped [ST-09]', async () => {
  const far = `{"id":"1","text":"${'x'.repeat(5_000)}","resourceType":"Patient"}\n`
  bench.vendor.on(bench.status, bench.manifest([{ url: bench.file('x1', far) }]))
  const { job } = await bench.complete()
  expect(await bench.view(job)).toMatchObject({ kind: 'failed', code: 'files_unavailable' })
})

it('a manifest whose pages go round in a circle ends', async () => {
  const link = { link: [{ relation: 'next', url: bench.statusUrl }] }
  bench.vendor.on(bench.status, bench.manifest([{ type: 'Patient', url: bench.file('p', ndjson('Patient', 1)) }], link))
  const { job } = await bench.start()
  await ring(job)
  expect(bench.vendor.count(bench.status)).toBeLessThan(10)
  expect(await bench.view(job)).toMatchObject({ kind: 'failed', code: 'vendor_answer_invalid' })
}, 30_000)

it('a start that meets a gate out of reach goes on by itself: one kick-off, and the client has its job [KO-11]', async () => {
  Object.assign(bindings, {
    GATES: {
      idFromName: (name: string) => name,
      get: () => ({ acquire: failing, forget: async () => undefined, release: async () => undefined }),
    },
  })
  const request = bench.request()
  const job = stubOf(request.jobId)
  const { kind } = await job.start(request)
  Object.assign(bindings, { GATES })
  await ring(job)
  await ring(job)
  expect([kind, bench.vendor.count(bench.kickoff)]).toEqual(['started', 1])
})

it('R2 that is down for two minutes costs no file', async () => {
  bench.vendor.on(bench.status, bench.small())
  const { job } = await bench.start()
  const downUntilMs = Date.now() + 120_000
  Object.assign(bindings, {
    FILES: new Proxy(FILES, {
      get: (target, key) => {
        if (Date.now() < downUntilMs) return failing
        const value = Reflect.get(target, key) as unknown
        return typeof value === 'function' ? value.bind(target) : value
      },
    }),
  })
  for (let turn = 0; turn < 30 && (await bench.kind(job)) === 'in-progress'; turn++) await ring(job)
  expect(namesIn((await manifestOf(bench, job)).output)).toHaveLength(2)
})

it('R2 that refuses a put of known length in mid-stream is not the file’s fault, and nobody waits for it', async () => {
  const text = ndjson('Patient', 1).repeat(200_000)
  expect(text.length).toBeGreaterThan(MIN_PART_BYTES)
  const open = async () => new Response(text, { headers: { 'Content-Length': `${text.length}` } })
  const down = { put: failing } as unknown as R2Bucket
  await expect(storeFile('refused', open, 'Patient', { bucket: down })).rejects.toBeInstanceOf(BucketError)
})

it('a source that now has another client at the vendor ends its jobs: theirs cannot see ours [N-38]', async () => {
  bench.vendor.on(bench.status, bench.small())
  const { job } = await bench.start()
  await runInDurableObject<ExportJob, void>(job, (_, { storage }) => {
    storage.sql.exec(`UPDATE job SET body = json_set(body, '$.subject', 'client-secret-basic:somebody-else')`)
  })
  await evictDurableObject(job)
  await ring(job)
  expect(await bench.view(job)).toMatchObject({ kind: 'failed', code: 'credential_changed' })
  expect(bench.vendor.count(bench.status)).toBe(0)
})
