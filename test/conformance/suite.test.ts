import type { JWK } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { MisbehavingServer } from './misbehaving-server.ts'
import { CLIENT_ID, newKey } from './misbehaving-token.ts'
import { runSuite } from './suite.ts'
import { givenToken, signedTokens } from './tokens.ts'
import type { Result } from './verdict.ts'

let key: JWK
beforeAll(async () => {
  key = await newKey()
})

const withServer = async <T>(broken: string, work: (server: MisbehavingServer) => Promise<T>): Promise<T> => {
  const server = await new MisbehavingServer(broken, key).listen()
  try {
    return await work(server)
  } finally {
    await server.close()
  }
}

const resultsOf = (server: MisbehavingServer): Promise<readonly Result[]> =>
  runSuite({
    base: server.base,
    tokens: signedTokens({ clientId: CLIENT_ID, tokenUrl: `${server.base}/token`, key, scope: 'system/*.rs' }),
    groupId: 'g1',
    timeoutSeconds: 900,
    parallel: 4,
    overPoll: 0,
    trustedOrigins: [],
    sleep: () => Promise.resolve(),
  })

const against = (results: readonly Result[]): string[] =>
  results.filter(({ verdict }) => verdict === 'fail' || verdict === 'warning').map(({ id }) => id)

/** Rules that can be broken without breaking another. */
const BREAKABLE =
  `KO-01 KO-05 KO-07 KO-08 KO-09 KO-10 KO-11 KO-14 KO-15 KO-17 KO-18 PA-01 PA-02 PA-04 PA-07 PA-08 PA-09 PA-10 PA-12 PA-13 PA-14 PA-15
  PA-16 PA-17 PA-18 PA-20 ST-02 ST-03 ST-06 ST-10 ST-11 ST-12 ST-13 ST-14 ST-17 MF-01 MF-02 MF-03 MF-04 MF-05 MF-06 MF-07 MF-08 MF-09
  MF-10 MF-11 MF-12 MF-13 MF-14 MF-15 MF-16 MF-17 MF-18 MF-22 DL-01 DL-02 DL-03 FI-01 FI-02 FI-04 FI-05 FI-06 FI-07 FI-10 FI-11 FI-12
  FI-14 FI-15 CS-01 CS-03 CS-04 CS-05 CS-06 CS-08 CS-09 AU-04 AU-05 AU-07 AU-08 AU-09 AU-11 AU-12 AU-13 AU-14 AU-15 AU-16 AU-17 AU-18
  AU-19 AU-20`.split(/\s+/)

describe('a server that breaks one rule', () => {
  it.each(BREAKABLE)('is found to break %s, and no other', async (id) => {
    expect(against(await withServer(id, resultsOf))).toEqual([id])
  })
})

describe('a server that breaks none', () => {
  it('is found to break none, and keeps nothing that the suite has started', async () => {
    await withServer('none', async (server) => {
      const results = await resultsOf(server)
      expect(against(results)).toEqual([])
      expect(results.filter(({ verdict }) => verdict === 'pass').length).toBeGreaterThan(90)
      expect(server.left).toBe(0)
    })
  })

  it('is asked for no more than 60 exports', async () => {
    await withServer('none', async (server) => {
      await resultsOf(server)
      const kickoffs = server.requests.filter((request) => request.endsWith('$export'))
      expect(kickoffs.length).toBeLessThanOrEqual(60)
    })
  })

  it('is asked for what --only needs, and nothing else is told', async () => {
    await withServer('none', async (server) => {
      const settings = { base: server.base, tokens: givenToken('system/*.rs'), groupId: 'g1', timeoutSeconds: 9, parallel: 1, overPoll: 0, trustedOrigins: [], sleep: () => Promise.resolve() } // prettier-ignore
      const results = await runSuite(settings, ['CS-08'])
      expect(results.map(({ id, verdict }) => [id, verdict])).toEqual([['CS-08', 'pass']])
      expect(server.requests).toEqual(['GET /metadata', 'GET /.well-known/smart-configuration'])
    })
  })
})

it('an exchange that shows a fault has no token in it, and nothing out of a file', async () => {
  for (const id of ['FI-04', 'AU-13', 'FI-05']) {
    const shown = JSON.stringify(await withServer(id, resultsOf))
    expect(shown).not.toMatch(/Bearer s|Synthetic|"access_token\\*":\\*"s/)
  }
})
