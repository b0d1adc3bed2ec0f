import { createServer, type Server } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BulkClient } from '../../sandbox/bulk-client.ts'
import type { CredentialConfig } from '../../sandbox/config.ts'
import { publicPart, sandboxKeys } from '../../sandbox/state.ts'
import { exportGroup, useWorld } from './support.ts'

/** Every other way in which a fake EHR lets the facade prove itself. */
const OTHERS: [string, string, (clientId: string, tokenUrl: string) => CredentialConfig][] = [
  [
    'redox',
    'its legacy key exchange',
    (clientId, tokenUrl) => ({
      kind: 'key-exchange',
      clientId,
      tokenUrl: new URL('/auth/authenticate', tokenUrl).href,
      secret: 'OTHER_SECRET',
    }),
  ],
  [
    'medplum',
    'client_secret_post',
    (clientId, tokenUrl) => ({ kind: 'client-secret-post', clientId, tokenUrl, secret: 'OTHER_SECRET' }),
  ],
  [
    'medplum',
    'private_key_jwt ES384',
    (clientId, tokenUrl) => ({ kind: 'private-key-jwt', clientId, tokenUrl, keySecret: 'OTHER_ES384', alg: 'ES384' }),
  ],
  [
    'generic',
    'private_key_jwt RS384',
    (clientId, tokenUrl) => ({ kind: 'private-key-jwt', clientId, tokenUrl, keySecret: 'OTHER_RS384', alg: 'RS384' }),
  ],
]

describe.each(OTHERS)('towards %s with %s', (id, _, credentialFor) => {
  const world = useWorld({}, undefined, ({ vendors, sources, secrets }) => {
    const vendor = vendors.find((candidate) => candidate.id === id)
    const source = sources[id]
    if (!vendor || !source) throw new Error(`no vendor ${id}`)
    const { clientId, secret, privateKeys } = vendor.clients.primary
    return {
      sources: { [id]: { ...source, credential: credentialFor(clientId, vendor.tokenUrl), limits: { pollSeconds: 0.1 } } },
      secrets: {
        ...secrets,
        OTHER_SECRET: secret,
        OTHER_ES384: JSON.stringify(privateKeys.ES384),
        OTHER_RS384: JSON.stringify(privateKeys.RS384),
      },
    }
  })

  it('exports, with one token for all of it [N-36, N-37]', async () => {
    const { manifest } = await exportGroup(world(), id, '?_type=Patient')
    expect(manifest.output.reduce((sum, { count }) => sum + (count ?? 0), 0)).toBe(6)
    expect(world().vendor(id).traffic()).toMatchObject({ tokensIssued: 1, unauthorized: 0 })
  })
})

describe('a vendor that refuses the credential', () => {
  const world = useWorld({}, undefined, ({ secrets }) => ({ secrets: { ...secrets, MEDPLUM_SECRET: 'wrong' } }))

  it('is told of without a word of the vendor’s, and nothing is started', async () => {
    const answer = await world().demo.fetch(`/fhir/medplum/Group/${world().vendor('medplum').groupId}/$export`)
    expect(answer.status).toBe(502)
    const text = await answer.text()
    expect(text).toContain('"code":"security"')
    expect(text).not.toMatch(/invalid_request|Invalid secret|127\.0\.0\.1:(?!8787)/)
    expect(world().vendor('medplum').traffic().kickoffs).toEqual({ accepted: 0, refused: 0 })
  })
})

describe('a client whose keys are at a URL', () => {
  let server: Server
  let jwksUrl = ''
  beforeAll(async () => {
    const { demo } = await sandboxKeys()
    server = createServer((_, response) => {
      response.setHeader('Content-Type', 'application/json')
      response.end(JSON.stringify({ keys: [publicPart(demo)] }))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    if (address && typeof address === 'object') jwksUrl = `http://127.0.0.1:${address.port}/jwks.json`
  })
  afterAll(() => server.close())

  const world = useWorld({}, undefined, () => ({
    variables: { CLIENT_BY_URL: { clientId: 'by-url', jwksUrl, scopes: ['system/*.rs'], access: { redox: {} } } },
  }))

  it('gets a token like any other, and only what it may see [AU-03]', async () => {
    const client = new BulkClient(world().facade.base, 'by-url', world().keys.demo, 100)
    const { manifest } = await exportGroup(world(), 'redox', '?_type=Patient', client)
    expect(manifest.output).toMatchObject([{ type: 'Patient' }])
    expect((await client.fetch('/fhir/generic/Group')).status).toBe(404)
  })
})
