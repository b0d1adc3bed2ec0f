import { describe, expect, it } from 'vitest'
import { exportGroup, useWorld } from './support.ts'

const APP = 'https://app.example'
const world = useWorld({}, undefined, () => ({ variables: { CORS_ORIGINS: [APP] } }))

const preflight = (path: string, origin: string): Promise<Response> =>
  fetch(world().facade.base + path, {
    method: 'OPTIONS',
    headers: {
      Origin: origin,
      'Access-Control-Request-Method': 'GET',
      'Access-Control-Request-Headers': 'authorization, prefer',
    },
  })

describe('a browser', () => {
  it.each(['/fhir/generic/$export', '/fhir/generic/jobs/x', '/fhir/generic/jobs/x/files/y', '/auth/token', '/jobs'])(
    'is told before it sends a token to %s that a configured origin may, and no other',
    async (path) => {
      const allowed = await preflight(path, APP)
      expect(allowed.status).toBe(204)
      expect(allowed.headers.get('Access-Control-Allow-Origin')).toBe(APP)
      expect(allowed.headers.get('Access-Control-Allow-Headers')?.toLowerCase()).toContain('authorization')
      expect(allowed.headers.get('Access-Control-Allow-Credentials')).toBeNull()
      const refused = await preflight(path, 'https://evil.example')
      expect(refused.headers.get('Access-Control-Allow-Origin')).toBeNull()
      const almost = await preflight(path, `${APP}.evil.example`)
      expect(almost.headers.get('Access-Control-Allow-Origin')).toBeNull()
    },
  )

  it('of a configured origin sees what an export needs to be followed', async () => {
    const { statusUrl, manifest } = await exportGroup(world(), 'generic')
    const status = await world().demo.fetch(statusUrl, { headers: { Origin: APP } })
    const exposed = (status.headers.get('Access-Control-Expose-Headers') ?? '').toLowerCase()
    for (const name of ['content-location', 'retry-after', 'x-progress', 'expires', 'etag', 'content-range'])
      expect(exposed).toContain(name)
    await status.body?.cancel()
    const file = await world().demo.fetch(manifest.output[0]?.url ?? '', { headers: { Origin: APP } })
    expect(file.headers.get('Access-Control-Allow-Origin')).toBe(APP)
    // One answer for each origin and each encoding, as caches must know.
    expect((file.headers.get('Vary') ?? '').toLowerCase()).toMatch(/accept-encoding/)
    expect((file.headers.get('Vary') ?? '').toLowerCase()).toMatch(/origin/)
    await file.body?.cancel()
  })
})

it('every answer forbids guessing, framing and keeping it, errors too', async () => {
  const { base } = world().facade
  for (const path of ['/health/live', '/jobs', '/fhir/generic/$export', '/nowhere', '/auth/token', '/fhir/generic/metadata']) {
    const response = await fetch(base + path)
    await response.body?.cancel()
    expect(response.headers.get('X-Content-Type-Options')).toBe('nosniff')
    expect(response.headers.get('Content-Security-Policy')).toContain("default-src 'none'")
    expect(response.headers.get('Referrer-Policy')).toBe('no-referrer')
    expect(response.headers.get('Strict-Transport-Security')).toMatch(/max-age=\d+/)
    expect(response.headers.get('Cache-Control')).not.toBeNull()
  }
})
