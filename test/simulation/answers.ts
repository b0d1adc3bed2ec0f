type Bytes = Uint8Array<ArrayBuffer>

/** What a vendor does with a request. `broken`: the connection fails. `silent`: it never answers. */
export type Answer = { readonly kind: 'broken' } | { readonly kind: 'silent' } | Spoken

export interface Spoken {
  readonly kind: 'spoken'
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** The first comes with the header, each other one by itself. */
  readonly chunks: readonly Bytes[]
  readonly end: 'whole' | 'broken' | 'silent'
}

export const BROKEN: Answer = { kind: 'broken' }
export const SILENT: Answer = { kind: 'silent' }

const encoder = new TextEncoder()

export const spoken = (
  status: number,
  headers: Readonly<Record<string, string>> = {},
  body: string | Bytes | readonly Bytes[] = [],
  end: Spoken['end'] = 'whole',
): Spoken => ({
  kind: 'spoken',
  status,
  headers,
  chunks: typeof body === 'string' ? [new Uint8Array(encoder.encode(body))] : body instanceof Uint8Array ? [body] : body,
  end,
})

export const json = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Spoken =>
  spoken(status, { 'Content-Type': 'application/json', ...headers }, JSON.stringify(body))

export const outcome = (status: number, code: string, text = 'no'): Spoken =>
  json(status, { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code, diagnostics: text }] })

export const html = (): Spoken =>
  spoken(200, { 'Content-Type': 'text/html' }, '<!DOCTYPE html><html><title>Sign in</title></html>\n')

/** The same, its body broken off in the middle. */
export const cut = (answer: Spoken, end: 'broken' | 'silent' = 'broken'): Spoken => {
  const [first] = answer.chunks
  return { ...answer, chunks: first ? [first.slice(0, Math.ceil(first.byteLength / 2))] : [], end }
}

/** A `Retry-After`, and what it means: milliseconds, or nothing when it says nothing. */
export interface Wait {
  readonly headers: Readonly<Record<string, string>>
  readonly waitMs: number | undefined
}

const told = (value: string, waitMs: number | undefined): Wait => ({ headers: { 'Retry-After': value }, waitMs })

/** The forms that were seen; see docs/vendors.md. */
export const waitOf = (form: number, nowMs: number): Wait => {
  const at = (afterMs: number): number => Math.floor((nowMs + afterMs) / 1000) * 1000
  switch (form % 10) {
    case 1:
      return told('7', 7_000)
    case 2:
      return told('120', 120_000)
    case 3:
      return told('0', undefined)
    case 4:
      return told('99999', 99_999_000)
    case 5:
      return told(new Date(at(90_000)).toUTCString(), at(90_000) - nowMs)
    case 6:
      return told(`${at(60_000) / 1000}`, at(60_000) - nowMs)
    case 7:
      return told(`${at(200_000)}`, at(200_000) - nowMs)
    case 8:
      return told('soon', undefined)
    case 9:
      return told(new Date(at(-90_000)).toUTCString(), 0)
    default:
      return { headers: {}, waitMs: undefined }
  }
}
