import * as z from 'zod/mini'
import type { Fault, FaultKind } from '../faults.ts'

const MAX_FILES = 100_000
const MAX_BYTES = 2 ** 43
const MAX_DAYS = 3650

const count = (least: number, most: number) => z.int().check(z.gte(least), z.lte(most))
const bytes = count(0, MAX_BYTES)
const requests = count(0, 1_000_000)
const when = { times: z.exactOptional(requests), after: z.exactOptional(requests) }
const anywhere = { on: z.enum(['token', 'kickoff', 'status', 'file', 'cancel']), ...when }
const onStatus = { on: z.literal('status', 'applies to status'), ...when }
const onFile = { on: z.literal('file', 'applies to file'), ...when }

/** `bytes` is of the body, so it has no place before it. */
const bodyBytes = z.refine<{ at: string; bytes?: number }>((fault) => fault.bytes === undefined || fault.at === 'mid-body', {
  message: 'goes with at: mid-body only',
  path: ['bytes'],
})

const answer = z.strictObject({
  ...anywhere,
  kind: z.literal('answer'),
  status: count(400, 599),
  retryAfter: z.exactOptional(
    z.strictObject({
      form: z.enum(['delta', 'date', 'epoch-seconds', 'epoch-milliseconds']),
      seconds: z.number().check(z.gte(-MAX_DAYS * 86_400), z.lte(MAX_DAYS * 86_400)),
    }),
  ),
})

const fault = z.discriminatedUnion('kind', [
  answer,
  z
    .strictObject({
      ...anywhere,
      kind: z.literal('reset'),
      at: z.enum(['before-header', 'mid-header', 'mid-body']),
      bytes: z.exactOptional(bytes),
    })
    .check(bodyBytes),
  z
    .strictObject({
      ...anywhere,
      kind: z.literal('stall'),
      at: z.enum(['before-header', 'mid-body']),
      bytes: z.exactOptional(bytes),
    })
    .check(bodyBytes),
  z.strictObject({ ...anywhere, kind: z.literal('truncate'), bytes, announce: z.enum(['length', 'chunked', 'short']) }),
  z.strictObject({ ...anywhere, kind: z.literal('gzip'), damage: z.enum(['truncated', 'corrupt', 'none', 'unlabelled']) }),
  z.strictObject({ ...anywhere, kind: z.literal('login-page') }),
  z.strictObject({ ...anywhere, kind: z.literal('empty') }),
  z.strictObject({ ...onFile, kind: z.literal('wrong-type') }),
  z.strictObject({ ...onStatus, kind: z.literal('never-done') }),
  z.strictObject({ ...onStatus, kind: z.literal('done-early'), ms: z.number().check(z.gte(0)) }),
  z.strictObject({ ...onStatus, kind: z.literal('back-to-running') }),
  z.strictObject({ ...onStatus, kind: z.literal('duplicates') }),
  z.strictObject({ ...onStatus, kind: z.literal('many-files'), files: count(0, MAX_FILES) }),
  z.strictObject({ ...onStatus, kind: z.literal('huge-file'), bytes, gzip: z.exactOptional(z.boolean()) }),
  z.strictObject({ ...onFile, kind: z.literal('token-dies'), bytes }),
  // These two are no matter of single requests: strict objects refuse `times` and `after`.
  z.strictObject({ on: z.literal('file'), kind: z.literal('url-lifetime'), seconds: z.number().check(z.gte(0)) }),
  z.strictObject({
    on: z.literal('status'),
    kind: z.literal('clock-skew'),
    hours: z.number().check(z.gte(-24 * MAX_DAYS), z.lte(24 * MAX_DAYS)),
  }),
])

/** Kinds that need URLs that expire. */
const NEEDS_PRESIGNING: readonly FaultKind[] = ['url-lifetime']

/**
 * Checks what is to be set, strictly.
 *
 * @param value A list of faults, or one.
 * @param presigns Whether the vendor has URLs that expire.
 * @returns The faults, or what is wrong with the first that is not right, by the field's name.
 */
export const parseFaults = (
  value: unknown,
  presigns: boolean,
): { readonly faults: readonly Fault[] } | { readonly problem: string } => {
  const parsed = z.array(fault).safeParse(Array.isArray(value) ? value : [value])
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const [index = 0, ...field] = issue?.path ?? []
    const unknown = issue?.code === 'unrecognized_keys' ? issue.keys : []
    const name = [...field, ...unknown.slice(0, 1)].map(String).join('.')
    return { problem: `fault ${String(index)}${name === '' ? '' : `, ${name}`}: ${issue?.message ?? 'malformed'}` }
  }
  const faults: readonly Fault[] = parsed.data
  const misplaced = faults.findIndex(({ kind }) => NEEDS_PRESIGNING.includes(kind) && !presigns)
  return misplaced === -1 ? { faults } : { problem: `fault ${misplaced}, kind: this vendor has no URLs that expire` }
}
