import type { BulkClient, Manifest, ManifestFile } from '../../../sandbox/bulk-client.ts'
import { canonical } from '../../../sandbox/canonical.ts'
import type { Json as Row } from '../../../sandbox/json.ts'

/** A parameter as a client gives it; several of one name are repeats. */
export type Given = readonly [name: string, value: string]

export interface Ask {
  readonly level: 'patient' | 'group'
  readonly method: 'GET' | 'POST'
  readonly given: readonly Given[]
  readonly lenient?: true
}

/** A manifest, of which an item may have no type and go on in another file. */
interface Page extends Omit<Manifest, 'output'> {
  readonly output: readonly (Omit<ManifestFile, 'type'> & { readonly type?: string; readonly continuesInFile?: string })[]
  readonly outputOrganizedBy?: string
  readonly link?: readonly { readonly relation: string; readonly url: string }[]
}

/** Everything about an answer that may not differ between sources. */
export type Answer =
  | { readonly refused: number; readonly codes: readonly string[] }
  | {
      /** Type, or with `organizeOutputBy` the patient of the block → its rows in no order. */
      readonly rows: Readonly<Record<string, readonly string[]>>
      readonly organizedBy?: string
      /** What was ignored: the issue codes and parameters of `error`, in no order. */
      readonly issues: readonly string[]
    }

/** How long an export may take, so that one that never ends is told by its name. */
const PATIENCE_MS = 30_000

const VALUES: Readonly<Record<string, (value: string) => object>> = {
  _since: (value) => ({ valueInstant: value }),
  _until: (value) => ({ valueInstant: value }),
  patient: (value) => ({ valueReference: { reference: value } }),
  includeAssociatedData: (value) => ({ valueCode: value }),
  allowPartialManifests: (value) => ({ valueBoolean: value === 'true' }),
}

const kickoff = ({ method, given, lenient }: Ask): RequestInit => {
  const headers = {
    Accept: 'application/fhir+json',
    Prefer: lenient === true ? 'respond-async, handling=lenient' : 'respond-async',
  }
  if (method === 'GET') return { headers }
  const parameter = given.map(([name, value]) => ({ name, ...(VALUES[name] ?? ((text) => ({ valueString: text })))(value) }))
  const body = JSON.stringify({ resourceType: 'Parameters', ...(parameter.length === 0 ? {} : { parameter }) })
  return { method, headers: { ...headers, 'Content-Type': 'application/fhir+json' }, body }
}

const queryOf = ({ method, given }: Ask): string =>
  method === 'POST' || given.length === 0
    ? ''
    : `?${given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')}`

/** As a test names it. */
export const nameOf = (ask: Ask): string =>
  `${ask.method} ${ask.level}${ask.given.map(([name, value]) => ` ${name}=${value}`).join('')}${ask.lenient === true ? ' lenient' : ''}`

const rowsAt = async (client: BulkClient, url: string): Promise<Row[]> => {
  const text = Buffer.from(await client.read(url)).toString('utf8')
  return text === ''
    ? []
    : text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Row)
}

/** What an export that failed was told: the same as a refusal, only later, for who had to wait for its turn. */
const FAILED = /^status: (\d{3}) (\{.*\})$/s

const asRefusal = (error: unknown): Answer => {
  const [, status, body] = FAILED.exec(error instanceof Error ? error.message : '') ?? []
  if (status === undefined || body === undefined) throw error
  const { issue } = JSON.parse(body) as { readonly issue: readonly { readonly code: string }[] }
  return { refused: Number(status), codes: issue.map(({ code }) => code) }
}

/** Every page of a manifest. */
const pagesFrom = async (client: BulkClient, statusUrl: string): Promise<readonly Page[]> => {
  const pages: Page[] = []
  for (let url: string | undefined = statusUrl; url !== undefined;) {
    const page: Page = await client.manifest(url)
    pages.push(page)
    url = page.link?.find(({ relation }) => relation === 'next')?.url
  }
  return pages
}

const headerOf = (row: Row): string | undefined => {
  const { parameter } = row as { parameter?: readonly { name: string; valueReference?: { reference: string } }[] }
  return row['resourceType'] === 'Parameters'
    ? parameter?.find(({ name }) => name === 'header')?.valueReference?.reference
    : undefined
}

const issuesOf = (outcomes: readonly Row[]): readonly string[] =>
  outcomes
    .flatMap(
      ({ issue }) =>
        issue as readonly { readonly severity: string; readonly code: string; readonly expression?: readonly string[] }[],
    )
    // What is told for information says nothing of a loss.
    .filter(({ severity }) => severity !== 'information')
    .map(({ code, expression }) => `${code} ${expression?.join() ?? ''}`)
    .toSorted()

const contentOf = async (client: BulkClient, source: string, groupId: string, ask: Ask): Promise<Answer> => {
  const path = ask.level === 'group' ? `Group/${groupId}` : 'Patient'
  const started = await client.fetch(`/fhir/${source}/${path}/$export${queryOf(ask)}`, kickoff(ask))
  const outcome = (await started.json()) as { readonly issue: readonly { readonly code: string }[] }
  if (started.status !== 202) return { refused: started.status, codes: outcome.issue.map(({ code }) => code) }
  const statusUrl = started.headers.get('Content-Location') ?? ''
  const late = AbortSignal.timeout(PATIENCE_MS)
  const pages = await Promise.race([
    pagesFrom(client, statusUrl),
    new Promise<never>((_, reject) => late.addEventListener('abort', () => reject(new Error('the export does not end')))),
  ])
  const organizedBy = pages[0]?.outputOrganizedBy
  const groups = new Map<string, string[]>()
  for (const { url, type, count } of pages.flatMap(({ output }) => output)) {
    if ((type === undefined) !== (organizedBy !== undefined)) throw new Error(`a file of ${type} in an export by ${organizedBy}`)
    let key = type ?? 'rows before any header'
    const resources: Row[] = []
    for (const row of await rowsAt(client, url)) {
      key = headerOf(row) ?? key
      const group = groups.get(key) ?? []
      groups.set(key, group)
      if (headerOf(row) !== undefined) continue
      if (type !== undefined && row['resourceType'] !== type) throw new Error(`a file of ${type} has another type`)
      resources.push(row)
      group.push(await canonical(row, (address) => client.read(address)))
    }
    // Headers are none of the resources [MF-10].
    if (count !== undefined && count !== resources.length)
      throw new Error(`${count} resources announced, ${resources.length} there`)
  }
  const errors = await Promise.all((pages[0]?.error ?? []).map(({ url }) => rowsAt(client, url)))
  await (await client.fetch(statusUrl, { method: 'DELETE' })).body?.cancel()
  return {
    rows: Object.fromEntries([...groups].map(([key, rows]) => [key, rows.toSorted()])),
    ...(organizedBy === undefined ? {} : { organizedBy }),
    issues: issuesOf(errors.flat()),
  }
}

/** One export from kick-off to rows. */
export const answerOf = (...asked: Parameters<typeof contentOf>): Promise<Answer> => contentOf(...asked).catch(asRefusal)
