import type { FileKind, ManifestFile } from './manifest.ts'
import { RESOURCE_TYPES } from './resource-types.ts'
import { parseVendorInstant } from './vendor-instant.ts'

/** What a vendor's manifest says, without its oddities. */
export interface ParsedManifest {
  /** Epoch milliseconds. Absent when missing or unreadable. */
  readonly transactionTimeMs?: number
  readonly requiresAccessToken?: boolean
  /** Given when the vendor organized its files by a resource; they then have no type. */
  readonly outputOrganizedBy?: string
  readonly output: readonly ManifestFile[]
  readonly deleted: readonly ManifestFile[]
  readonly error: readonly ManifestFile[]
  /** The next page of the manifest. */
  readonly nextUrl?: string
  /** Entries without a usable URL: files that exist at the vendor and cannot be had. */
  readonly rejected: number
}

type JsonObject = Readonly<Record<string, unknown>>

/**
 * Reads a vendor's manifest tolerantly: booleans and counts as strings, relative URLs, lists or types left out,
 * OperationOutcome files among the output, odd times, `link` as an object or as a list. Absolute URLs stay byte for byte.
 *
 * @param body Parsed JSON, or anything else.
 * @param baseUrl What relative URLs are relative to: the URL that was requested.
 * @returns `undefined` when the body is no manifest: not an object, a FHIR resource, or without an `output` list.
 * @see Bulk Data Manifest [MF-01..MF-18]
 */
export const parseManifest = (body: unknown, baseUrl: string): ParsedManifest | undefined => {
  if (!isObject(body) || own(body, 'resourceType') !== undefined || !Array.isArray(own(body, 'output'))) return undefined
  const transactionTimeMs = parseVendorInstant(own(body, 'transactionTime'))
  const requiresAccessToken = toBoolean(own(body, 'requiresAccessToken'))
  const outputOrganizedBy = toText(own(body, 'outputOrganizedBy'))
  const nextUrl = nextOf(own(body, 'link'), baseUrl)

  const lists: Record<FileKind, ManifestFile[]> = { output: [], deleted: [], error: [] }
  let rejected = 0
  for (const kind of ['output', 'deleted', 'error'] as const) {
    const entries: unknown = own(body, kind)
    for (const entry of Array.isArray(entries) ? (entries as readonly unknown[]) : []) {
      const file = toFile(entry, baseUrl, outputOrganizedBy === undefined ? FALLBACK[kind] : () => undefined)
      if (file === undefined) rejected += 1
      else lists[kind === 'output' && file.type === 'OperationOutcome' ? 'error' : kind].push(file)
    }
  }
  return {
    ...(transactionTimeMs === undefined ? {} : { transactionTimeMs }),
    ...(requiresAccessToken === undefined ? {} : { requiresAccessToken }),
    ...(outputOrganizedBy === undefined ? {} : { outputOrganizedBy }),
    ...lists,
    ...(nextUrl === undefined ? {} : { nextUrl }),
    rejected,
  }
}

const toFile = (entry: unknown, baseUrl: string, fallbackType: (url: string) => string | undefined): ManifestFile | undefined => {
  if (!isObject(entry)) return undefined
  const url = toUrl(own(entry, 'url'), baseUrl)
  if (url === undefined) return undefined
  const type = toText(own(entry, 'type')) ?? fallbackType(url)
  const count = toCount(own(entry, 'count'))
  const continuesInFile = toUrl(own(entry, 'continuesInFile'), baseUrl)
  return {
    url,
    ...(type === undefined ? {} : { type }),
    ...(count === undefined ? {} : { count }),
    ...(continuesInFile === undefined ? {} : { continuesInFile }),
  }
}

/**
 * The resource type in a file's name, as in `1_Patient.ndjson` or `Patient.000.ndjson`.
 *
 * @returns `undefined` when the last segment of the path names none, or more than one.
 * @see Bulk Data Manifest, `output.type` [MF-06]
 */
export const typeInFileName = (url: string): string | undefined => {
  const path = url.split(/[?#]/, 1)[0] ?? ''
  const name = path.slice(path.lastIndexOf('/') + 1)
  const types = new Set(name.split(/[^A-Za-z]+/).filter((word) => RESOURCE_TYPES.has(word)))
  const [type] = types
  return types.size === 1 ? type : undefined
}

/** The type of a file whose entry names none. */
const FALLBACK: Readonly<Record<FileKind, (url: string) => string | undefined>> = {
  output: typeInFileName,
  deleted: () => 'Bundle',
  error: () => 'OperationOutcome',
}

const nextOf = (link: unknown, baseUrl: string): string | undefined => {
  for (const candidate of Array.isArray(link) ? (link as readonly unknown[]) : [link]) {
    if (!isObject(candidate) || toText(own(candidate, 'relation'))?.toLowerCase() !== 'next') continue
    const url = toUrl(own(candidate, 'url'), baseUrl)
    if (url !== undefined) return url
  }
  return undefined
}

/** Absolute URLs are not normalised: a signature or an encrypted id in them may not survive it. */
const toUrl = (value: unknown, baseUrl: string): string | undefined => {
  const text = toText(value)
  if (text === undefined) return undefined
  if (/^[A-Za-z][A-Za-z0-9+.-]*:/.test(text)) return URL.canParse(text) ? text : undefined
  return URL.canParse(text, baseUrl) ? new URL(text, baseUrl).href : undefined
}

/** A string with something in it. */
const toText = (value: unknown): string | undefined =>
  typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined

const toBoolean = (value: unknown): boolean | undefined => {
  const word = typeof value === 'string' ? value.trim().toLowerCase() : value
  if (word === true || word === 'true') return true
  return word === false || word === 'false' ? false : undefined
}

const toCount = (value: unknown): number | undefined => {
  const count = typeof value === 'string' && /^\s*\d+\s*$/.test(value) ? Number(value) : value
  return typeof count === 'number' && Number.isSafeInteger(count) && count >= 0 ? count : undefined
}

const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Own members only: `__proto__` is an ordinary key of JSON, and what it holds is not ours to inherit. */
const own = (object: JsonObject, key: string): unknown => (Object.hasOwn(object, key) ? object[key] : undefined)
