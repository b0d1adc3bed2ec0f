import { gunzipSync } from 'node:zlib'
import { send, type Exchange } from '../exchange.ts'
import { keyOf, mediaTypeOf, membersNamed, objects, textOf, type Json } from '../fhir.ts'
import { fetchFile, filesIn, resourcesOf, type File } from '../files.ts'
import { NotHad, type Findings } from '../verdict.ts'
import type { Check } from './check.ts'
import { isAbsolute } from './manifest.ts'
import { manifestExchange } from './parameters.ts'

const NDJSON = 'application/fhir+ndjson'
const MAX_ATTACHMENTS = 20

const contents: Check = {
  ids: ['FI-01', 'FI-03', 'FI-04', 'FI-05', 'FI-06', 'FI-11', 'MF-05'],
  run: async ({ exports, find }) => {
    const run = await exports.complete()
    const evidence = manifestExchange(run)
    if (run.files.length === 0) throw new NotHad('the export has no file')
    for (const { exchange, malformed, resources, item, list } of run.files) {
      find.shall('FI-01', exchange.status === 200, `a file is ${exchange.status}`, exchange)
      find.shall('MF-05', exchange.status < 400, `a file cannot be fetched: ${exchange.status}`, exchange)
      if (exchange.status !== 200) continue
      find.shall('FI-03', exchange.headers['content-type'] !== undefined, 'a file has no Content-Type', exchange)
      find.shall('FI-04', mediaTypeOf(exchange) === NDJSON, `NDJSON comes as ${mediaTypeOf(exchange) || 'nothing'}`, exchange)
      find.shall('FI-05', malformed.length === 0, malformed[0] ?? '', exchange)
      const others = resources.filter(({ resourceType }) => resourceType !== item['type']).length
      if (list === 'output') find.shall('FI-06', others === 0, `${others} resources are not of the type of their file`, exchange)
    }
    const keys = filesIn(run, 'output').flatMap(({ resources }) => resources.map(keyOf))
    const twice = keys.length - new Set(keys).size
    find.shall('FI-11', twice === 0, `${twice} resources come more than once`, evidence)
  },
}

/** The smallest file: it is fetched a good many times. */
const sample = (files: readonly File[]): File => {
  const [smallest] = files
    .filter(({ exchange }) => exchange.status === 200 && !exchange.isCut)
    .toSorted((one, other) => one.exchange.body.length - other.exchange.body.length)
  if (smallest === undefined) throw new NotHad('no file of the export could be fetched')
  return smallest
}

/** The bytes of a file, its coding undone; `undefined` when it has one that was not asked for, or is broken. */
const decoded = ({ body, headers }: Exchange): Buffer | undefined => {
  const coding = headers['content-encoding']
  if (coding === undefined || coding === 'identity') return body
  try {
    return coding === 'gzip' ? gunzipSync(body) : undefined
  } catch {
    return undefined
  }
}

const requests: Check = {
  ids: ['FI-02', 'FI-10', 'FI-15'],
  run: async ({ server, exports, find }) => {
    const run = await exports.complete()
    const needsToken = run.manifest['requiresAccessToken'] !== false
    const { url, exchange: plain } = sample(filesIn(run, 'output'))
    const get = (headers: Readonly<Record<string, string>>): Promise<Exchange> => fetchFile(server, url, needsToken, headers)
    for (const accept of [NDJSON, '*/*']) {
      const answer = await get({ Accept: accept })
      find.shall('FI-02', answer.status === 200, `a file with Accept: ${accept} is ${answer.status}`, answer)
    }
    const bare = await send({ url, headers: needsToken ? await server.authorization() : {} })
    find.shall('FI-02', bare.status === 200, `a file without Accept is ${bare.status}`, bare)
    const isPlain = plain.headers['content-encoding'] === undefined || plain.headers['content-encoding'] === 'identity'
    find.shall('FI-10', isPlain, 'a file is compressed though identity was asked for', plain)
    const gzip = await get({ 'Accept-Encoding': 'gzip' })
    const isSame = gzip.status === 200 && decoded(gzip)?.equals(plain.body) === true
    const noted = gzip.headers['content-encoding'] === 'gzip' ? '' : 'gzip is not offered'
    find.shall('FI-10', isSame, 'a file with Accept-Encoding: gzip is not the same file', gzip, noted)
    await offered(find, plain, get, (headers) =>
      needsToken ? server.send({ method: 'HEAD', url, headers }) : send({ method: 'HEAD', url, headers }),
    )
  },
}

type Get = (headers: Readonly<Record<string, string>>) => Promise<Exchange>

/** What HTTP lets a server offer, and the specification of exports does not name. */
const offered = async (find: Findings, plain: Exchange, get: Get, head: Get): Promise<void> => {
  const { etag } = plain.headers
  const headed = await head({ 'Accept-Encoding': 'identity' })
  if (headed.status === 200) {
    const isEmpty = headed.body.length === 0
    const length = headed.headers['content-length']
    const isTrue = isEmpty && (length === undefined || Number(length) === plain.body.length)
    find.shall('FI-15', isTrue, 'HEAD tells another length than the file has', headed)
  }
  if (etag !== undefined) {
    const known = await get({ 'If-None-Match': etag })
    find.shall('FI-15', known.status === 304 || known.status === 200, `If-None-Match with its own ETag is ${known.status}`, known)
  }
  if (plain.headers['accept-ranges'] === 'bytes' && plain.body.length > 1) {
    const part = await get({ Range: 'bytes=1-' })
    const expected = part.status === 206 ? plain.body.subarray(1) : plain.body
    find.shall('FI-15', expected.equals(part.body), 'Range does not give the rest of the file', part)
  }
  if (headed.status !== 200 && etag === undefined) find.skip('FI-15', 'neither HEAD nor ETag is offered')
}

const protection: Check = {
  ids: ['MF-03', 'FI-07', 'FI-08'],
  run: async ({ exports, find }) => {
    const run = await exports.complete()
    const needsToken = run.manifest['requiresAccessToken'] !== false
    const bare = await send({ url: sample(filesIn(run, 'output')).url, headers: { Accept: NDJSON } })
    const isRefused = bare.status === 401 || bare.status === 403 || bare.status === 400
    if (needsToken) {
      find.shall('FI-07', isRefused, `a file without a token is ${bare.status}`, bare)
    } else {
      find.shall('FI-08', bare.status === 200, `a file without a token is ${bare.status}`, bare)
      find.shall('MF-03', bare.status === 200, 'requiresAccessToken is false, and a file needs a token', bare)
      find.skip('FI-07', 'requiresAccessToken is false')
    }
  },
}

/** Everything in a resource that is an Attachment with an address. */
const attachmentsIn = (resource: Json): readonly Json[] =>
  ['attachment', 'content', 'photo', 'presentedForm', 'valueAttachment', 'contentAttachment', 'sourceAttachment']
    .flatMap((name) => [...membersNamed(resource, name)].flatMap((value) => objects(Array.isArray(value) ? value : [value])))
    .filter((part) => typeof part['url'] === 'string' || typeof part['data'] === 'string')

const attachments: Check = {
  ids: ['FI-14'],
  run: async ({ server, exports, find }) => {
    const run = await exports.complete()
    const needsToken = run.manifest['requiresAccessToken'] !== false
    const all = resourcesOf(run).flatMap(attachmentsIn)
    if (all.length === 0) throw new NotHad('no exported resource has an attachment')
    const evidence = manifestExchange(run)
    const untyped = all.filter(({ contentType }) => typeof contentType !== 'string').length
    find.should('FI-14', untyped === 0, `${untyped} attachments have no contentType`, evidence)
    for (const { url } of all.filter(({ data }) => data === undefined).slice(0, MAX_ATTACHMENTS)) {
      const target = textOf(url)
      const isWhole = isAbsolute(target)
      find.shall('FI-14', isWhole, 'an attachment has neither data nor an absolute URL', evidence)
      if (!isWhole) continue
      const file = await fetchFile(server, target, needsToken && server.trusts(target), { Accept: '*/*' })
      find.shall('FI-14', file.status === 200, `an attachment is ${file.status}`, file)
    }
  },
}

export const fileChecks: readonly Check[] = [contents, requests, protection, attachments]
