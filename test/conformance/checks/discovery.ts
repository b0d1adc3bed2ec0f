import { connect } from 'node:tls'
import { jsonOf, send } from '../exchange.ts'
import { isJson, objects, textOf, type Json, type Level } from '../fhir.ts'
import { filesIn } from '../files.ts'
import { OPERATIONS } from '../server.ts'
import type { Exports } from '../exports.ts'
import { NotHad, type Findings } from '../verdict.ts'
import type { Check } from './check.ts'
import { isAbsolute } from './manifest.ts'

const BULK = 'http://hl7.org/fhir/uv/bulkdata'
const NOT_SUPPORTED = `${BULK}/StructureDefinition/operation-not-supported`

const strings = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : []
const unversioned = (canonical: string): string => canonical.split('|')[0] ?? ''

const hasOperation = (part: Json | undefined, level: Level): boolean =>
  objects(part?.['operation']).some(
    ({ name, definition }) =>
      unversioned(textOf(definition)) === `${BULK}/OperationDefinition/${OPERATIONS[level]}` &&
      ['export', OPERATIONS[level]].includes(textOf(name)),
  )

const statement: Check = {
  ids: ['CS-01', 'CS-03', 'CS-04', 'CS-05', 'CS-06'],
  run: async ({ server, exports, find }) => {
    const exchange = await server.metadata()
    const capability = await server.capability()
    if (capability === undefined) {
      for (const id of ['CS-01', 'CS-03', 'CS-04', 'CS-06'])
        find.should(id, false, 'there is no CapabilityStatement at /metadata', exchange)
      return
    }
    const names = strings(capability['instantiates']).map(unversioned)
    find.should(
      'CS-01',
      names.includes(`${BULK}/CapabilityStatement/bulk-data`),
      'instantiates does not name Bulk Data',
      exchange,
    )
    const rest = await server.rest()
    const resources = objects(rest?.['resource'])
    const place: Readonly<Record<Level, Json | undefined>> = {
      system: rest,
      patient: resources.find(({ type }) => type === 'Patient'),
      group: resources.find(({ type }) => type === 'Group'),
    }
    const advertised = await server.advertised()
    for (const level of advertised) {
      find.should('CS-03', hasOperation(place[level], level), `the ${level} operation is not where it belongs`, exchange)
    }
    if (advertised.length === 0) find.should('CS-03', false, 'no export operation is named by its canonical', exchange)
    const flags = [...extensionsIn(capability)].filter(({ url }) => textOf(url).endsWith('operation-not-supported'))
    if (flags.length === 0) find.skip('CS-05', 'nothing is flagged')
    const areRight = flags.every(({ url, valueCanonical }) => url === NOT_SUPPORTED && textOf(valueCanonical).startsWith(BULK))
    if (flags.length > 0)
      find.should('CS-05', areRight, 'operation-not-supported is not its canonical, or names no operation', exchange)
    const documented = [rest, ...resources].some((part) => textOf(part?.['documentation']) !== '')
    find.should('CS-06', documented || textOf(capability['description']) !== '', 'nothing is documented', exchange)
    const listed = new Set(resources.map(({ type }) => textOf(type)))
    const unlisted = [...new Set(filesIn(await exports.complete(), 'output').map(({ item }) => textOf(item['type'])))].filter((type) => !listed.has(type)) // prettier-ignore
    find.should('CS-04', unlisted.length === 0, `exported, and not listed: ${unlisted.join(', ')}`, exchange)
    await searchParameters(resources, exports, find)
  },
}

/** A search parameter that is listed is one that a filter may have. */
const searchParameters = async (resources: readonly Json[], exports: Exports, find: Findings): Promise<void> => {
  const parameters = objects(resources.find(({ type }) => type === 'Patient')?.['searchParam'])
  const token = parameters.find(({ name }) => name === 'gender')
  if (token === undefined) return
  const answer = await exports.probe({ params: [['_typeFilter', 'Patient?gender=female']] })
  find.should('CS-04', answer.status === 202, `a listed search parameter is answered with ${answer.status} in a filter`, answer)
}

function* extensionsIn(value: unknown): Generator<Json> {
  if (Array.isArray(value)) for (const entry of value) yield* extensionsIn(entry)
  else if (isJson(value)) {
    yield* objects(value['extension'])
    for (const inner of Object.values(value)) yield* extensionsIn(inner)
  }
}

const smart: Check = {
  ids: ['CS-08', 'CS-09', 'AU-02'],
  run: async ({ server, find }) => {
    const exchange = await send({ url: `${server.base}/.well-known/smart-configuration`, headers: { Accept: 'text/html' } })
    const configuration = jsonOf(exchange)
    if (exchange.status !== 200 || !isJson(configuration)) {
      find.shall('CS-08', false, `SMART configuration is ${exchange.status} or no JSON when Accept is text/html`, exchange)
      find.should('AU-02', false, 'there is no SMART configuration', exchange)
      return
    }
    const type = exchange.headers['content-type'] ?? ''
    find.shall('CS-08', /^application\/json\b/.test(type), `SMART configuration comes as ${type}`, exchange)
    const urls = Object.entries(configuration).filter(
      ([name, value]) => /(_endpoint|_uri)$/.test(name) && typeof value === 'string',
    )
    const relative = urls.filter(([, value]) => !isAbsolute(textOf(value))).map(([name]) => name)
    find.shall('CS-08', relative.length === 0, `${relative.join(', ')} is no absolute URL`, exchange)
    const has = (name: string, values: readonly string[]): boolean => {
      const listed = strings(configuration[name])
      return values.some((value) => listed.includes(value))
    }
    const missing = [
      ...(isAbsolute(textOf(configuration['token_endpoint'])) ? [] : ['token_endpoint']),
      ...(has('grant_types_supported', ['client_credentials']) ? [] : ['grant_types_supported']),
      ...(has('capabilities', ['client-confidential-asymmetric']) ? [] : ['capabilities']),
      ...(has('code_challenge_methods_supported', ['S256']) ? [] : ['code_challenge_methods_supported']),
    ]
    find.shall('CS-09', missing.length === 0, `missing or incomplete: ${missing.join(', ')}`, exchange)
    const isPlain = has('code_challenge_methods_supported', ['plain'])
    find.shall('CS-09', !isPlain, 'code_challenge_methods_supported has plain', exchange)
    const isBackend =
      has('grant_types_supported', ['client_credentials']) && has('capabilities', ['client-confidential-asymmetric'])
    find.should('AU-02', isBackend, 'SMART configuration does not offer client credentials with a signed assertion', exchange)
  },
}

const OLD_TLS_MS = 10_000

/** Whether a server speaks a version of TLS that is too old. */
const speaksOldTls = (url: URL): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(
      { host: url.hostname, port: Number(url.port || 443), servername: url.hostname, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }, // prettier-ignore
      () => {
        resolve(true)
        socket.destroy()
      },
    )
    socket.setTimeout(OLD_TLS_MS, () => socket.destroy())
    socket.once('error', () => resolve(false)).once('close', () => resolve(false))
  })

const transport: Check = {
  ids: ['AU-01'],
  run: async ({ server, exports, find }) => {
    const url = new URL(server.base)
    if (url.protocol === 'http:') throw new NotHad('the server is on loopback, by http')
    find.shall('AU-01', !(await speaksOldTls(url)), 'the server speaks TLS 1.1')
    const run = await exports.complete()
    const plain = [run.statusUrl ?? '', ...run.files.map((file) => file.url)].filter((target) => !target.startsWith('https:'))
    find.shall('AU-01', plain.length === 0, `${plain.length} URLs are not https`, run.polls.at(-1))
  },
}

export const discoveryChecks: readonly Check[] = [statement, smart, transport]
