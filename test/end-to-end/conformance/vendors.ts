import { setTimeout as delay } from 'node:timers/promises'
import type { SandboxVendor } from '../../../sandbox/sandbox.ts'
import { jsonOf, send } from '../../conformance/exchange.ts'
import { isJson, textOf } from '../../conformance/fhir.ts'
import type { Settings } from '../../conformance/server.ts'
import { DEFAULT_SCOPE, signedTokens, type Tokens } from '../../conformance/tokens.ts'

const SCOPES: Readonly<Record<string, string>> = { medplum: 'system/*.*' }
const SIGNED = ['generic', 'oracle-health', 'redox']

/** A token by client secret, for a vendor that knows nothing else. */
const secretTokens = (vendor: SandboxVendor): Tokens => {
  const { clientId, secret } = vendor.clients.primary
  let token: Promise<string> | undefined
  const request = async (): Promise<string> => {
    const answer = await send({
      method: 'POST',
      url: vendor.tokenUrl,
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: clientId,
        client_secret: secret,
        scope: SCOPES[vendor.id] ?? DEFAULT_SCOPE,
      }).toString(),
    })
    const body = jsonOf(answer)
    if (!isJson(body) || answer.status !== 200) throw new Error(`${vendor.id}: no token, ${answer.status}`)
    return textOf(body['access_token'])
  }
  return { token: () => (token ??= request()) }
}

/** The longest that a test waits between two requests. */
const MOST_MS = 300

/** A fake EHR itself, without the facade in front of it. */
export const vendorSettings = (vendor: SandboxVendor): Settings => ({
  base: vendor.fhirBase,
  tokens: SIGNED.includes(vendor.id)
    ? signedTokens({
        clientId: vendor.clients.primary.clientId,
        tokenUrl: vendor.tokenUrl,
        key: vendor.clients.primary.privateKeys.ES384,
        scope: DEFAULT_SCOPE,
      })
    : secretTokens(vendor),
  groupId: vendor.groupId,
  timeoutSeconds: 100_000,
  parallel: 3,
  overPoll: 0,
  trustedOrigins: [],
  sleep: (ms) => delay(Math.min(ms, MOST_MS)),
})
