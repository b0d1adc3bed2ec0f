import { describe, expect, it } from 'vitest'
import { leaksIn, type CanaryKind, type Door } from '../../sandbox/canaries.ts'
import { exportGroup, SOURCES, useWorld } from './support.ts'

const OPERATOR_TOKEN = 'operator.0123456789abcdef0123456789abcdef'

// Every world of these tests is watched like this one, and closing it fails when a canary has left by a door not meant for it.
describe('while exports run from every source', () => {
  const world = useWorld({}, undefined, () => ({ variables: { OPERATOR_TOKEN } }))

  it('every kind of canary is planted, every door is watched, and none is found where it should not be', async () => {
    const { watch, demo, other, facade, vendor } = world()
    await Promise.all(
      SOURCES.map(async (id) => {
        const { statusUrl, manifest } = await exportGroup(world(), id)
        for (const { url } of manifest.output) await (await demo.fetch(url)).text()
        await (await demo.fetch(`/fhir/${id}/Group/${vendor(id).groupId}`)).text()
        for (const url of [statusUrl, manifest.output[0]?.url ?? ''])
          for (const method of ['GET', 'DELETE']) await (await other.fetch(url, { method })).text()
        await (await demo.fetch(statusUrl, { method: 'DELETE' })).text()
      }),
    )
    await (await other.fetch('/jobs')).text()
    for (const clientId of ['demo', 'other']) {
      const headers = { Authorization: `Bearer ${OPERATOR_TOKEN}` }
      expect(
        (await (await fetch(`${facade.base}/operator/clients/${clientId}/audit`, { headers })).text()).length,
      ).toBeGreaterThan(1000)
    }

    expect(watch.leaks()).toEqual([])
    const kinds: readonly CanaryKind[] = [
      'client assertion',
      'client key',
      'client token',
      'group id',
      'job id',
      'operator token',
      'patient address',
      'patient id',
      'patient identifier',
      'patient name',
      'presigned signature',
      'signing key',
      'vendor address',
      'vendor assertion',
      'vendor key',
      'vendor secret',
      'vendor token',
    ]
    expect([...watch.canaries.kinds].toSorted()).toEqual(kinds)
    const doors: readonly Door[] = [
      'answer',
      'answer header',
      'file',
      'group answer',
      'log',
      'token answer',
      'vendor API',
      'vendor store',
      'vendor token endpoint',
    ]
    const passages = watch.passages()
    expect([...new Set(passages.map(({ door }) => door))].toSorted()).toEqual(expect.arrayContaining([...doors]))
    // Where each is meant to be it is seen, so that it would be seen elsewhere.
    const seenAs = (door: Door): string =>
      leaksIn(
        passages.filter((passage) => passage.door === door).map((passage) => ({ ...passage, door: 'third host' })),
        watch.canaries,
      ).join('\n')
    const expected: readonly [Door, readonly CanaryKind[]][] = [
      ['log', ['job id']],
      ['token answer', ['client token']],
      ['file', ['patient name', 'patient id', 'patient identifier', 'patient address']],
      ['group answer', ['patient id', 'group id']],
      ['answer', ['group id', 'job id']],
      ['vendor API', ['vendor token', 'group id', 'vendor address']],
      ['vendor token endpoint', ['vendor secret', 'vendor assertion']],
      ['vendor store', ['presigned signature']],
    ]
    for (const [door, here] of expected) for (const kind of here) expect(seenAs(door)).toContain(`${kind} in third host`)
  })

  it('each vendor’s token is known, and would be found in the log', () => {
    const { watch } = world()
    const bearers = watch
      .passages()
      .filter(({ door }) => door === 'vendor API')
      .flatMap(({ party, text }) => [...text.matchAll(/^Bearer (\S+)$/gm)].map(([, token = '']) => ({ party, token })))
    expect(new Set(bearers.map(({ party }) => party))).toEqual(new Set(SOURCES))
    for (const { token } of bearers) {
      const line = { door: 'log', party: '', text: JSON.stringify({ event: 'x', token }), where: 'x' } as const
      expect(leaksIn([line], watch.canaries)).toEqual(['vendor token in log (x)'])
    }
  })
})
