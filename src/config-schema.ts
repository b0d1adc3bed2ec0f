import * as z from 'zod/mini'
import { KICKOFF_PARAMETERS } from './fhir/kickoff-params.ts'
import { RESOURCE_TYPES } from './fhir/resource-types.ts'
import { GROUP_ID } from './vendor/source.ts'

/**
 * The shape of every configuration variable. Strict: an unknown key is a mistake, since a misspelt limit that is silently ignored
 * is found only when it is needed. `docs/configuration.md` explains each key.
 */

/** What US Core servers commonly export; used where a source does not list its own. */
export const DEFAULT_TYPES: readonly string[] = (
  'AllergyIntolerance CarePlan CareTeam Condition Coverage Device DiagnosticReport DocumentReference Encounter Goal Immunization ' +
  'Location MedicationDispense MedicationRequest Observation Organization Patient Practitioner PractitionerRole Procedure Provenance ' +
  'RelatedPerson ServiceRequest Specimen'
).split(' ')

/** Never HMAC: whoever can check such a token can also make one. */
const ASYMMETRIC = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'] as const

const phases = <T extends z.core.$ZodType>(value: T) =>
  z.strictObject({ kickoff: z.exactOptional(value), status: z.exactOptional(value) })

const makeSchemas = () => {
  const text = z.string().check(z.minLength(1))
  const seconds = z.number().check(z.gte(0))
  const positive = z.number().check(z.refine(Number.isSafeInteger, { error: 'must be a whole number', abort: true }), z.gte(1))
  const secretName = z.string().check(z.regex(/^[A-Z][A-Z0-9_]*$/, 'must be the name of a Worker secret, such as ACME_KEY'))
  const segment = z.string().check(z.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 of A-Z a-z 0-9 . _ -'))
  const groupId = z.string().check(z.regex(GROUP_ID, 'must be the id of a group: 1 to 256 of A-Z a-z 0-9 . _ ~ -'))
  const url = z.string().check(
    z.refine((value) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol), 'must be an absolute https URL'),
    z.refine((value) => !/[?#@]/.test(value), 'must have neither query, fragment nor credentials'),
  )
  const fileOrigin = z.string().check(
    z.regex(
      /^https?:\/\/(\*\.)?[a-z0-9.*-]+(:\d+)?$/,
      'must be an origin such as https://files.example or https://*.s3.amazonaws.com',
    ),
    // `https://*` and `https://*.com` would be every host there is.
    z.refine(
      (value) => !value.includes('*') || /\.[a-z0-9-]+\.[a-z0-9-]+(:\d+)?$/.test(value),
      'must end in two labels without a star',
    ),
  )
  const resourceType = z.string().check(z.refine((value) => RESOURCE_TYPES.has(value), 'must be a FHIR R4 resource type'))
  const level = z.enum(['system', 'patient', 'group'])
  const kickoffParameter = z.enum(KICKOFF_PARAMETERS)
  const pointer = z.custom<`/${string}`>(
    (value) => typeof value === 'string' && value.startsWith('/'),
    'must be a JSON Pointer such as /job/state',
  )
  const from = z.union([z.strictObject({ header: text }), z.strictObject({ body: pointer })])

  const send = z.strictObject({
    base: z.exactOptional(text),
    paths: z.exactOptional(z.partialRecord(level, text)),
    headers: z.exactOptional(
      z.partialRecord(z.enum(['kickoff', 'status', 'cancel', 'file', 'group']), z.record(z.string(), z.string())),
    ),
    rename: z.exactOptional(z.partialRecord(kickoffParameter, text)),
    join: z.exactOptional(z.enum(['comma', 'repeat'])),
    outputFormat: z.exactOptional(text),
  })

  const read = z.strictObject({
    expect: z.exactOptional(phases(z.strictObject({ body: pointer, equals: text }))),
    unwrap: z.exactOptional(phases(pointer)),
    statusUrl: z.exactOptional(from),
    state: z.exactOptional(z.strictObject({ from, map: z.record(z.string(), z.enum(['in-progress', 'complete', 'failed'])) })),
    progress: z.exactOptional(from),
    retryAfter: z.exactOptional(z.enum(['s', 'ms'])),
    transactionTime: z.exactOptional(z.enum(['start', 'finish'])),
    trace: z.exactOptional(z.array(from)),
  })

  const limits = z.strictObject({
    pollSeconds: z.exactOptional(seconds),
    maxPollSeconds: z.exactOptional(seconds),
    deadlineSeconds: z.exactOptional(seconds),
    stallSeconds: z.exactOptional(positive),
    responseSeconds: z.exactOptional(positive),
    blockSeconds: z.exactOptional(positive),
    retentionSeconds: z.exactOptional(seconds),
    inFlight: z.exactOptional(positive),
    hiddenJobSeconds: z.exactOptional(seconds),
    kickoffEverySeconds: z.exactOptional(seconds),
  })

  const trust = z.strictObject({
    origins: z.exactOptional(z.array(url)),
    fileOrigins: z.exactOptional(z.array(fileOrigin)),
    files: z.exactOptional(z.boolean()),
  })

  const supports = z.strictObject({
    levels: z.exactOptional(z.partialRecord(level, z.enum(['GET', 'POST']))),
    params: z.exactOptional(z.array(kickoffParameter)),
    cancel: z.exactOptional(z.boolean()),
    groups: z.exactOptional(z.enum(['search', 'read', 'none'])),
    lastUpdated: z.exactOptional(z.boolean()),
    typeFilter: z.exactOptional(z.strictObject({ perType: z.exactOptional(positive), needsType: z.exactOptional(z.boolean()) })),
    patientList: z.exactOptional(z.literal('required')),
    prefers: z.exactOptional(z.literal('patient')),
    notes: z.exactOptional(z.array(text)),
  })

  const scopes = z.exactOptional(z.array(text))
  const withSecret = { clientId: text, tokenUrl: url, secret: secretName, scopes }
  const credential = z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('private-key-jwt'),
      clientId: text,
      tokenUrl: url,
      keySecret: secretName,
      alg: z._default(z.enum(['RS384', 'ES384']), 'RS384'),
      scopes,
    }),
    z.strictObject({ kind: z.literal('client-secret-basic'), ...withSecret }),
    z.strictObject({ kind: z.literal('client-secret-post'), ...withSecret }),
    z.strictObject({ kind: z.literal('key-exchange'), clientId: text, tokenUrl: url, secret: secretName }),
    z.strictObject({ kind: z.literal('bearer'), secret: secretName }),
  ])

  const source = z.strictObject({
    adapter: text,
    title: z.exactOptional(text),
    fhirBase: url,
    credential,
    /** `r2`: files rest with us until they expire. `none`: bytes stream through on request. */
    retention: z._default(z.enum(['r2', 'none']), 'r2'),
    /** Resource types that this source exports; what `/metadata` lists and an omitted `_type` means. */
    types: z.exactOptional(z.array(resourceType).check(z.minLength(1))),
    /** Group id → name, for a vendor whose groups cannot be read over FHIR. */
    groups: z.exactOptional(z.record(segment, text)),
    /** A group that holds every patient; serves the Patient level of a vendor that has groups only. */
    allPatientsGroup: z.exactOptional(groupId),
    options: z._default(z.record(z.string(), segment), {}),
    /** Sources that share a vendor client and tenant share a gate. */
    gate: z.exactOptional(segment),
    /** Ask the vendor to delete its files once we hold them all [N-32]. */
    deleteAfterCollecting: z._default(z.boolean(), false),
    supports: z.exactOptional(supports),
    send: z.exactOptional(send),
    read: z.exactOptional(read),
    limits: z.exactOptional(limits),
    trust: z.exactOptional(trust),
  })

  const jwks = z.strictObject({ keys: z.array(z.looseObject({ kty: text, kid: text })).check(z.minLength(1)) })

  const trustedIssuer = z.strictObject({
    /** Compared with `iss` character by character. */
    issuer: text,
    jwksUrl: url,
    audience: text,
    clientIdClaim: z._default(text, 'client_id'),
    scopeClaim: z._default(text, 'scope'),
    algorithms: z._default(z.array(z.enum(ASYMMETRIC)).check(z.minLength(1)), ['RS256', 'RS384', 'ES256', 'ES384']),
    /** How far ahead `exp` may lie: a token cannot be taken back before it. */
    maxTokenSeconds: z._default(positive, 3600),
  })

  /** One that is never granted would be found out only when it is needed. */
  const clientScope = text.check(z.refine((value) => !value.includes('?'), 'must have no query, which cannot be enforced'))

  const client = z
    .strictObject({
      clientId: text,
      jwksUrl: z.exactOptional(url),
      jwks: z.exactOptional(jwks),
      /** Whose access tokens it brings, in place of asking for ours. */
      issuer: z.exactOptional(segment),
      scopes: z.array(clientScope).check(z.minLength(1)),
      /** Source id → what of it the client may export. */
      access: z.record(
        segment,
        z.strictObject({
          groups: z._default(z.array(text), ['*']),
          levels: z.exactOptional(z.array(level)),
        }),
      ),
    })
    .check(
      z.refine(
        ({ jwks: inline, jwksUrl, issuer }) => [inline, jwksUrl, issuer].filter((way) => way !== undefined).length === 1,
        'must have exactly one of jwks, jwksUrl and issuer',
      ),
    )

  /** As a browser sends it in `Origin`: a `*` would let every page on the web act for whoever holds a token. */
  const corsOrigins = z.array(
    z
      .string()
      .check(
        z.refine(
          (value) => URL.canParse(value) && new URL(value).origin === value && /^https?:/.test(value),
          'must be an origin such as https://app.example',
        ),
      ),
  )

  const serviceLimits = z.strictObject({
    /** Shortest wait between two status requests to a vendor [N-16]. */
    vendorPollFloorSeconds: z._default(seconds, 5),
    /** First wait after a request to a vendor, or to R2, has failed; later ones are multiples of it, up to 1,200 times as long. */
    retrySeconds: z._default(z.number().check(z.gt(0)), 1),
    /** Bounds of the `Retry-After` that clients are given [N-16]. */
    retryAfterMinSeconds: z._default(positive, 5),
    retryAfterMaxSeconds: z._default(positive, 120),
    /** Status requests per minute of one job before a client gets 429 [ST-04]. */
    statusRequestsPerMinute: z._default(positive, 60),
    /** How long a finished export can be downloaded. */
    retentionSeconds: z._default(seconds, 86_400),
    /** How long a download that has begun may go on after DELETE or expiry. */
    purgeGraceSeconds: z._default(seconds, 300),
    /** How long audit records are kept. Six years is what 45 CFR 164.316(b)(2) asks of HIPAA's records. */
    auditRetentionDays: z._default(positive.check(z.lte(36_500)), 2_190),
    /** Life of an access token [AU-13]. */
    accessTokenSeconds: z._default(positive.check(z.lte(300)), 300),
    /** Of one client that has proven who it is, in one isolate. */
    tokenRequestsPerMinute: z._default(positive, 60),
    /** Of one address, in one isolate; what is granted does not count. */
    tokenRefusalsPerMinute: z._default(positive, 30),
    /** Files of one page of a manifest that may be told in pages [PA-18]. */
    manifestPageFiles: z._default(positive, 1_000),
    /** Exports of one client that are queued or running at the same time. */
    openExportsPerClient: z._default(positive, 100),
  })

  return { source, issuer: trustedIssuer, client, corsOrigins, limits: serviceLimits }
}

let made: ReturnType<typeof makeSchemas> | undefined

/** Made when the first is needed: that takes longer than all else that our modules would do when a Worker starts. */
export const schemas = (): ReturnType<typeof makeSchemas> => (made ??= makeSchemas())
