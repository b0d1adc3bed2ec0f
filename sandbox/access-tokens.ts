import { randomBytes } from 'node:crypto'

/** Who speaks, according to the token. */
export interface Session {
  readonly subject: string
  readonly scopes: readonly string[]
}

export interface AccessTokens {
  issue(session: Session, seconds: number): string
  /** The session of an `Authorization` header; else why there is none. */
  check(authorization: string | undefined): Session | 'missing' | 'unknown' | 'expired'
}

const MAX_TOKENS = 10_000

/** Opaque access tokens, kept only here. */
export const accessTokens = (now: () => number): AccessTokens => {
  const issued = new Map<string, Session & { readonly expiresAtMs: number }>()
  return {
    issue: (session, seconds) => {
      const oldest = issued.size >= MAX_TOKENS ? issued.keys().next().value : undefined
      if (oldest !== undefined) issued.delete(oldest)
      const token = randomBytes(24).toString('base64url')
      issued.set(token, { ...session, expiresAtMs: now() + seconds * 1000 })
      return token
    },
    check: (authorization) => {
      const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
      if (token === undefined) return 'missing'
      const session = issued.get(token)
      if (session === undefined) return 'unknown'
      return session.expiresAtMs > now() ? session : 'expired'
    },
  }
}

/**
 * The resource types that some scopes let read at system level, v1 or v2 spelling. `'*'`: all; so it is too when no scope says anything
 * about resources.
 */
export const readableTypes = (scopes: readonly string[]): '*' | readonly string[] => {
  const about = scopes
    .map((scope) => /^system\/(\*|[A-Z][A-Za-z]+)\.(read|\*|c?ru?d?s?)(?:\?.*)?$/.exec(scope))
    .filter((match) => match !== null)
  if (about.length === 0) return '*'
  const types = about.map(([, type]) => type ?? '')
  return types.includes('*') ? '*' : types
}
