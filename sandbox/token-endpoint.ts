import type { AccessTokens } from './access-tokens.ts'
import { clientAuthenticator, type ClientAuthMethod, type ClientRefusal, type RegisteredClient } from './client-authentication.ts'
import type { TrafficRecorder } from './traffic.ts'

/** What a vendor's OAuth token endpoint takes and gives. */
export interface TokenRules {
  /** Path on the vendor's origin. */
  readonly path: string
  readonly methods: readonly ClientAuthMethod[]
  readonly algs: readonly string[]
  readonly seconds: number
  /** What is granted of the scopes asked for. Omitted: as asked. A string is the refusal's description. */
  readonly grant?: (asked: readonly string[]) => readonly string[] | string
  /** Members of the answer besides the usual. */
  readonly extra?: (client: RegisteredClient) => Readonly<Record<string, unknown>>
  /** Answer to a client that did not prove itself. Omitted: RFC 6749 `invalid_client`. */
  readonly refuse?: (refusal: ClientRefusal) => Response
}

const NO_STORE = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', Pragma: 'no-cache' }

export const oauthError = (status: number, error: string, description: string): Response =>
  new Response(JSON.stringify({ error, error_description: description }), { status, headers: NO_STORE })

/** The handler of a client-credentials token endpoint that verifies what it is sent. */
export const tokenEndpoint = (
  rules: TokenRules,
  context: {
    readonly clients: readonly RegisteredClient[]
    readonly tokens: AccessTokens
    readonly traffic: TrafficRecorder
    readonly tokenUrl: () => string
    readonly now: () => number
  },
) => {
  const authenticate = clientAuthenticator({
    clients: context.clients,
    methods: rules.methods,
    algs: rules.algs,
    now: context.now,
  })
  return async (request: Request): Promise<Response> => {
    context.traffic.count('tokenRequests')
    if (!(request.headers.get('Content-Type') ?? '').startsWith('application/x-www-form-urlencoded')) {
      return oauthError(400, 'invalid_request', 'The body must be application/x-www-form-urlencoded')
    }
    const form = new URLSearchParams(await request.text())
    if (form.get('grant_type') !== 'client_credentials')
      return oauthError(400, 'unsupported_grant_type', 'Only client_credentials')
    const client = await authenticate(form, request.headers.get('Authorization') ?? undefined, context.tokenUrl())
    if ('refused' in client) return rules.refuse?.(client) ?? oauthError(401, 'invalid_client', client.reason)
    const asked = (form.get('scope') ?? '').split(' ').filter((scope) => scope !== '')
    const granted = rules.grant?.(asked) ?? asked
    if (typeof granted === 'string') return oauthError(400, 'invalid_scope', granted)
    context.traffic.count('tokensIssued')
    const body = {
      access_token: context.tokens.issue({ subject: client.clientId, scopes: granted }, rules.seconds),
      token_type: 'bearer',
      expires_in: rules.seconds,
      scope: granted.join(' '),
      ...rules.extra?.(client),
    }
    return new Response(JSON.stringify(body), { headers: NO_STORE })
  }
}
