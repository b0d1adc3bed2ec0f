import type { Edit } from './edits.ts'
import { holds } from './byte-search.ts'
import { endOfString, stringAt } from './json-scan.ts'

/** The bytes of a string that names something at the vendor, with its quotes, or the place of its opening quote alone. */
interface Hit {
  readonly name: string
  readonly start: number
}

/** What stands before the host of an address that is the value of a member. Looked for in the last bytes before it alone. */
const BEFORE_HOST = /(?<=[^\\])"(reference|url)"\s*:\s*"https?:(?:\/|\\\/){2}$/
const BEFORE_PATH = /(?<=[^\\])"(url)"\s*:\s*"[^"\s]*$/
/** Room for the name, the scheme, and a good deal of white space; or for the path before `Binary`. */
const WINDOW = 160

/** Of a host, with the slash before it: enough to be rare, and short enough to be found fast. */
const TRACE_CHARS = 6

const longestFirst = (bases: readonly string[]): readonly string[] => bases.toSorted((one, other) => other.length - one.length)

/** Makes of an address under one of the bases, the longest that it lies under, what it is relative to that; anything else stays. */
export const relativeTo = (vendorBases: readonly string[]): ((address: string) => string) => {
  const bases = longestFirst(vendorBases)
  return (address) => {
    const base = bases.find((candidate) => address.startsWith(`${candidate}/`))
    return base === undefined ? address : address.slice(base.length + 1)
  }
}

/**
 * Finds the addresses at the vendor. Sound on bytes, since a quote that is not escaped begins or ends a string wherever it stands.
 *
 * @see Bulk Data Kick-off [KO-17]; Attachments [FI-14]
 */
export class VendorAddresses {
  readonly bases: readonly string[]
  readonly origins: ReadonlySet<string>
  readonly #hosts: readonly string[]
  readonly #traces: readonly string[]
  readonly #withUrls: boolean

  /** @param withUrls Whether addresses of attachments are looked for too. */
  constructor(vendorBases: readonly string[], withUrls: boolean) {
    // Where one lies within another, the longer says more.
    this.bases = longestFirst(vendorBases)
    this.origins = new Set(vendorBases.map((base) => new URL(base).origin))
    this.#hosts = [...new Set(vendorBases.map((base) => /^https?:\/\/([^/]+)/.exec(base)?.[1] ?? ''))].filter(Boolean)
    this.#traces = [...this.#hosts.map((host) => `/${host.slice(0, TRACE_CHARS)}`), ...(withUrls ? [BINARY] : [])]
    this.#withUrls = withUrls
  }

  /** Whether any could be in these bytes, by what costs next to nothing beside looking for them. */
  mayBeIn(bytes: Uint8Array): boolean {
    return this.#traces.some((trace) => holds(bytes, trace))
  }

  /**
   * @param text The bytes, one code unit each.
   * @param until Hosts that begin there or later are left alone.
   * @param urls Takes the places of what may be attachments.
   * @returns Edits that make references relative, in their order.
   */
  edits(bytes: Uint8Array, text: string, until = text.length, urls: number[] = []): Edit[] {
    const edits: Edit[] = []
    for (const host of this.#hosts) {
      for (let at = text.indexOf(host); at !== -1 && at < until; at = text.indexOf(host, at + host.length)) {
        const hit = plainReference(text, at) ?? hitBefore(text, at, BEFORE_HOST)
        if (hit?.name === 'reference') {
          const edit = this.#relative(bytes, text, hit.start)
          if (edit) edits.push(edit)
        } else if (hit && this.#withUrls) urls.push(at)
      }
    }
    if (this.#withUrls) {
      for (let at = text.indexOf(BINARY); at !== -1; at = text.indexOf(BINARY, at + 1)) {
        const before = text[at - 1]
        if ((before === '"' || before === '/') && hitBefore(text, at, BEFORE_PATH)) urls.push(at)
      }
    }
    if (this.#hosts.length < 2) return edits
    // A host within another one finds the same addresses.
    const inOrder = edits.toSorted((one, other) => one.start - other.start)
    return inOrder.filter(({ start }, index) => start !== inOrder[index - 1]?.start)
  }

  #relative(bytes: Uint8Array, text: string, start: number): Edit | undefined {
    for (const base of this.bases) {
      if (!text.startsWith(base, start + 1)) continue
      const from = start + 1 + base.length
      // Another resource is named after the base; what is not one is no reference to this export.
      if (text[from] === '/' && isCapital(text.charCodeAt(from + 1))) return { start: start + 1, end: from + 1 }
    }
    return this.#escaped(bytes, text, start)
  }

  /** A string in which slashes, or anything else, are escaped. */
  #escaped(bytes: Uint8Array, text: string, start: number): Edit | undefined {
    const close = text.indexOf('"', start + 1)
    // Not looked for beyond: rows that hold none would each search all that follow them.
    if (close === -1 || !text.slice(start + 1, close).includes('\\')) return undefined
    let said: string
    let end: number
    try {
      end = endOfString(bytes, start, bytes.length)
      said = stringAt(text, bytes, start, end)
    } catch {
      return undefined
    }
    const base = this.bases.find(
      (candidate) => said.startsWith(`${candidate}/`) && isCapital(said.charCodeAt(candidate.length + 1)),
    )
    return base === undefined ? undefined : { start, end, by: ENCODER.encode(JSON.stringify(said.slice(base.length + 1))) }
  }
}

const BINARY = 'Binary'
const ENCODER = new TextEncoder()

const isCapital = (code: number): boolean => code >= 65 && code <= 90

/** A reference as nearly every server writes it. */
const plainReference = (text: string, host: number): Hit | undefined => {
  const start = host - (text.startsWith('s:', host - 4) ? 'https://'.length : 'http://'.length) - 1
  const isPlain = text.startsWith('"reference":"http', start - '"reference":'.length) && text.startsWith('://', host - 3)
  return isPlain && text[start - '"reference":'.length - 1] !== '\\' ? { name: 'reference', start } : undefined
}

/** What a place is within, when it is a member of the name that is looked for. */
const hitBefore = (text: string, at: number, before: RegExp): Hit | undefined => {
  const window = text.slice(Math.max(0, at - WINDOW), at)
  const name = before.exec(window)?.[1]
  return name === undefined ? undefined : { name, start: at - window.length + window.lastIndexOf('"') }
}
