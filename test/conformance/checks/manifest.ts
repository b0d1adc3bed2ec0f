import type { Exchange } from '../exchange.ts'
import type { Export } from '../exports.ts'
import { isInstant, isJson, lastUpdatedMs, mediaTypeOf, objects, textOf, type Json } from '../fhir.ts'
import { fetchFile, filesIn, keysOf, resourcesOf } from '../files.ts'
import type { Findings } from '../verdict.ts'
import type { Check } from './check.ts'
import { honoured, manifestExchange } from './parameters.ts'

const LISTS = ['output', 'deleted', 'error'] as const

const isLocal = (url: string): boolean => /^http:\/\/(127\.0\.0\.1|localhost|\[::1\])[:/]/.test(url)
export const isAbsolute = (url: string): boolean => url.startsWith('https://') || isLocal(url)

/** What every manifest has to look like, whatever was asked for. */
const shape = (find: Findings, run: Export, evidence: Exchange): void => {
  for (const page of run.pages) {
    find.shall('MF-01', isInstant(page['transactionTime']), 'transactionTime is no instant', evidence)
    find.shall('MF-03', typeof page['requiresAccessToken'] === 'boolean', 'requiresAccessToken is no boolean', evidence)
    find.shall('MF-04', Array.isArray(page['output']), 'output is no array', evidence)
    find.shall('MF-14', Array.isArray(page['error']), 'error is no array', evidence)
    find.shall('MF-11', page['deleted'] === undefined || Array.isArray(page['deleted']), 'deleted is no array', evidence)
    const items = LISTS.flatMap((list) => objects(page[list]))
    const bad = items.filter(({ url }) => !isAbsolute(textOf(url)))
    find.shall('MF-05', bad.length === 0, `${bad.length} files have no absolute https URL`, evidence)
    const extensions = [page, ...items].flatMap((part) => ('extension' in part ? [part['extension']] : []))
    find.shall('MF-18', extensions.every(isJson), 'extension is no object', evidence)
    if (page['outputOrganizedBy'] === undefined) {
      const untyped = objects(page['output']).filter(({ type }) => !/^[A-Z]\w+$/.test(textOf(type)))
      find.shall('MF-06', untyped.length === 0, `${untyped.length} output files have no type`, evidence)
    }
    const wrong = (list: 'deleted' | 'error', type: string): number =>
      objects(page[list]).filter((item) => item['type'] !== type).length
    find.shall('MF-14', wrong('error', 'OperationOutcome') === 0, 'a file of error has not the type OperationOutcome', evidence)
    find.shall('MF-11', wrong('deleted', 'Bundle') === 0, 'a file of deleted has not the type Bundle', evidence)
  }
}

const manifests: Check = {
  ids: ['MF-01', 'MF-02', 'MF-03', 'MF-04', 'MF-05', 'MF-06', 'MF-07', 'MF-08', 'MF-11', 'MF-14', 'MF-18'],
  run: async ({ exports, find }) => {
    const run = await exports.complete()
    const evidence = manifestExchange(run)
    shape(find, run, evidence)
    for (const { item, resources, exchange } of run.files) {
      if (exchange.status !== 200 || exchange.isCut) continue
      find.should('MF-07', resources.length > 0, 'a file has no resource', exchange)
      const { count } = item
      if (count === undefined) find.skip('MF-08', 'the manifest has no counts')
      else
        find.shall(
          'MF-08',
          count === resources.length,
          `count is ${JSON.stringify(count)}, the file has ${resources.length}`,
          evidence,
        )
    }
    // Where parameters stand in the query, so must they in `request`; a POST is without them.
    for (const kickOff of [
      { params: [['_type', 'Patient,Condition']] },
      {
        method: 'POST',
        params: [
          ['_type', 'Patient'],
          ['_type', 'Condition'],
        ],
      },
    ] as const) {
      // prettier-ignore
      const other = await exports.run(kickOff)
      if (other.manifest === undefined) continue
      const isSame = sameUrl(textOf(other.manifest['request']), other.kickoff.url)
      find.shall('MF-02', isSame, `request is not ${other.kickoff.url}`, manifestExchange(other))
      shape(find, other, manifestExchange(other))
    }
    find.shall('MF-02', sameUrl(textOf(run.manifest['request']), run.kickoff.url), `request is not ${run.kickoff.url}`, evidence)
  },
}

/** Whether two URLs are one, however their characters are encoded. */
const sameUrl = (one: string, other: string): boolean => {
  try {
    return decodeURIComponent(new URL(one).href) === decodeURIComponent(new URL(other).href)
  } catch {
    return false
  }
}

const times: Check = {
  ids: ['MF-01', 'MF-04', 'MF-11', 'MF-12', 'MF-13'],
  run: async ({ exports, find }) => {
    const run = await exports.whole()
    const atMs = Date.parse(textOf(run.manifest['transactionTime']))
    const newer = resourcesOf(run).filter((resource) => (lastUpdatedMs(resource) ?? 0) > atMs)
    find.should('MF-01', newer.length === 0, `${newer.length} resources are newer than transactionTime`, manifestExchange(run))
    const long = await exports.run({ params: [['_since', '1970-01-01T00:00:00Z']] })
    shape(find, long, manifestExchange(long))
    const files = filesIn(long, 'deleted')
    if (files.length === 0) for (const id of ['MF-12', 'MF-13']) find.skip(id, 'the server lists nothing as deleted')
    const gone = new Set<string>()
    for (const { resources, malformed, exchange } of files) {
      const wrong = resources.filter((bundle) => !isDeletion(bundle)).length + malformed.length
      find.shall('MF-12', wrong === 0, `${wrong} lines are no transaction of DELETEs`, exchange)
      for (const bundle of resources) for (const url of deletedBy(bundle)) gone.add(url)
    }
    const both = [...keysOf(long)].filter((key) => gone.has(key))
    if (files.length > 0)
      find.shall('MF-13', both.length === 0, `${both.length} deleted resources are in output`, manifestExchange(long))
    // Nothing is left once everything has been had.
    const next = await exports.run({ params: [['_since', textOf(run.manifest['transactionTime'])]] })
    if (next.manifest === undefined) return
    const output = next.manifest['output']
    find.shall('MF-04', Array.isArray(output), 'output is no array when there is little to list', manifestExchange(next))
    const old = resourcesOf(next).filter((resource) => (lastUpdatedMs(resource) ?? Infinity) < atMs)
    if (old.length === 0 && next.files.length === 0)
      find.should('MF-04', true, '', undefined, 'an empty export has an empty output')
  },
}

const isDeletion = (bundle: Json): boolean => {
  const requests = objects(bundle['entry']).map(({ request }) => (isJson(request) ? request : {}))
  const isAll = requests.every(({ method, url }) => method === 'DELETE' && textOf(url) !== '')
  return bundle['resourceType'] === 'Bundle' && bundle['type'] === 'transaction' && requests.length > 0 && isAll
}

const deletedBy = (bundle: Json): readonly string[] =>
  objects(bundle['entry']).map(({ request }) => (isJson(request) ? textOf(request['url']) : ''))

const messages: Check = {
  ids: ['MF-15', 'ST-09'],
  run: async ({ exports, find }) => {
    const plain = await exports.complete()
    const lenient = await exports.run({ params: [['_type', 'Patient'], ['noSuchParameter', '1']], prefer: 'respond-async, handling=lenient' }) // prettier-ignore
    const inside = resourcesOf(plain).filter(({ resourceType }) => resourceType === 'OperationOutcome')
    find.should('MF-15', inside.length === 0, `${inside.length} OperationOutcomes stand in output`, manifestExchange(plain))
    const errors = [plain, lenient].flatMap((run) => filesIn(run, 'error'))
    if (errors.length === 0) find.skip('ST-09', 'no export had anything in error')
    for (const { resources, malformed, exchange } of errors) {
      const isSound = malformed.length === 0 && resources.every(({ resourceType }) => resourceType === 'OperationOutcome')
      const isRight = exchange.status === 200 && resources.length > 0
      find.shall('MF-15', isSound, 'a file of error holds something else than OperationOutcomes', exchange)
      find.shall('ST-09', isRight, 'a file of error cannot be had, or is empty', exchange)
    }
  },
}

const pages: Check = {
  ids: ['PA-18', 'ST-13', 'MF-16', 'MF-17'],
  run: async (context) => {
    const { exports, find } = context
    const plain = await exports.complete()
    const linked = objects(plain.manifest['link']).length
    find.shall('MF-16', linked === 0, 'a manifest has link though no pages were asked for', manifestExchange(plain))
    const run = await honoured(context, ['PA-18'], { params: [['allowPartialManifests', 'true']] })
    if (run === undefined) {
      for (const id of ['ST-13', 'MF-17']) find.skip(id, 'allowPartialManifests is refused with an OperationOutcome')
      return
    }
    find.shall('PA-18', true, '')
    const evidence = manifestExchange(run)
    const links = run.pages.flatMap((page) => (page['link'] === undefined ? [] : [page['link']]))
    const areNext = links.every((link) => objects(link).length === 1 && objects(link).every(({ relation, url }) => relation === 'next' && isAbsolute(textOf(url)))) // prettier-ignore
    find.shall('MF-16', areNext, 'link is not one object with relation next and an absolute URL', evidence)
    const [first = {}, ...others] = run.pages
    if (others.length === 0) find.skip('MF-17', 'the manifest has one page')
    for (const page of others)
      find.shall('MF-17', common(page) === common(first), 'pages differ in more than output, deleted and link', evidence)
    const missing = [...keysOf(plain)].filter((key) => !keysOf(run).has(key))
    find.shall('PA-18', missing.length === 0, `${missing.length} resources are on no page`, evidence)
    await early(context, run)
  },
}

/** Manifests that came while the export went on. */
const early = async ({ server, exports, find }: Parameters<Check['run']>[0], run: Export): Promise<void> => {
  const partial = run.polls.filter(({ status, body }) => status === 202 && body.length > 0)
  const ordinary = (await exports.complete()).polls.filter(({ status, body }) => status === 202 && body.length > 0)
  for (const poll of ordinary) {
    const isManifest = poll.body.includes('"transactionTime"')
    find.shall('ST-13', !isManifest, 'a manifest comes early though allowPartialManifests was not asked for', poll)
  }
  if (partial.length === 0) find.skip('ST-13', 'no manifest came early')
  const poll = partial.at(-1)
  if (poll === undefined) return
  find.shall('ST-13', mediaTypeOf(poll) === 'application/json', `an early manifest comes as ${mediaTypeOf(poll)}`, poll)
  const manifest: unknown = JSON.parse(poll.body.toString('utf8'))
  if (!isJson(manifest)) return
  for (const { url } of LISTS.flatMap((list) => objects(manifest[list]))) {
    const file = await fetchFile(server, textOf(url), manifest['requiresAccessToken'] !== false)
    find.shall('ST-13', file.status === 200, `a file of an early manifest is ${file.status}`, file)
  }
}

/** What pages have in common, with its members in one order. */
const common = ({ output: _output, deleted: _deleted, link: _link, ...rest }: Json): string =>
  JSON.stringify(Object.entries(rest).toSorted(([one], [other]) => one.localeCompare(other)))

export const manifestChecks: readonly Check[] = [manifests, times, messages, pages]
