import { CLIENT_IDS } from '../doors/setup.ts'

/** How one comes: a name of `credentials.ts`, and how the header is written. */
export interface Credential {
  readonly name: string
  readonly form: 'plain' | 'lower case' | 'spaces' | 'twice' | 'Basic' | 'in the query' | 'quoted'
}

export interface FuzzRequest {
  readonly method: string
  /** With marks, without query. */
  readonly path: string
  readonly query: string
  readonly credential: Credential
  readonly headers: readonly (readonly [string, string])[]
  readonly body: string | undefined
  /** How the EHRs behave meanwhile. */
  readonly mood: Mood
}

export const MOODS = ['well', 'down', 'failing', 'web page', 'throttled', 'forgetful'] as const
export type Mood = (typeof MOODS)[number]

/** Names of credentials that open something, each with the client and what of its rights it has. */
export const GOOD = [
  ...CLIENT_IDS.filter((id) => id !== 'revoked').map((client) => ({ client, scope: 'system/*.rs' })),
  { client: 'full', scope: 'system/Patient.rs' },
  { client: 'full', scope: 'system/Group.rs' },
  { client: 'full', scope: 'system/Patient.r system/Observation.s system/Group.cud' },
  { client: 'full', scope: '' },
  { client: 'bound', scope: 'system/Patient.rs system/Group.rs' },
] as const
export const goodName = ({ client, scope }: { readonly client: string; readonly scope: string }): string => `${client} ${scope}`
export const BAD = [
  'none',
  'empty',
  'malformed',
  'garbage',
  'expired',
  'tampered',
  'unsigned',
  'hmac',
  'revoked',
  'audience',
  'crossed',
] as const

/** Names of assertions: `{assertion full}` in a form stands for one. */
export const ASSERTIONS = [
  'full',
  'other',
  'bound',
  'nobody',
  'expired',
  'tampered',
  'unsigned',
  'hmac',
  'audience',
  'foreign',
  'garbage',
] as const
