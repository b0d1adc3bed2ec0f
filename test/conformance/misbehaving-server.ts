import { createServer, type Server } from 'node:http'
import { gzipSync } from 'node:zlib'
import type { JWK } from 'jose'
import { keyOf, patientsOf, textOf, type Json } from './fhir.ts'
import { resourcesAt, TRANSACTION_TIME } from './misbehaving-data.ts'
import { givenIn, read, select, type Asked, type Breaks } from './misbehaving-kickoff.ts'
import { tokenEndpoint } from './misbehaving-token.ts'

interface Request {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

interface Job {
  readonly request: string
  readonly asked: Asked
  readonly rows: readonly Json[]
  readonly isSeparate: boolean
  polls: number
}

const BULK = 'http://hl7.org/fhir/uv/bulkdata'
const LEVEL = /^\/(?:(Patient)\/|Group\/([^/]+)\/)?\$export$/
const EXPIRES = new Date(Date.UTC(2099, 0, 1)).toUTCString()

const fhir = (status: number, body: object, headers: Readonly<Record<string, string>> = {}): Answer => ({
  status,
  headers: { 'Content-Type': 'application/fhir+json', ...headers },
  body: JSON.stringify(body),
})
const outcomeOf = (diagnostics: string): Json => ({
  resourceType: 'OperationOutcome',
  issue: [{ severity: 'error', code: 'processing', diagnostics }],
})
const ndjson = (rows: readonly Json[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

const covers = (scope: string, type: string): boolean => scope.includes('*') || scope.includes(`system/${type}.`)

/** A server that keeps every rule but the one that it is told to break. */
export class MisbehavingServer {
  readonly #breaks: Breaks
  readonly #jobs = new Map<string, Job>()
  readonly #server: Server
  readonly #token: ReturnType<typeof tokenEndpoint>
  base = ''
  /** Every request that came, as `METHOD path`. */
  readonly requests: string[] = []

  constructor(broken: string, key: JWK) {
    this.#breaks = (id) => id === broken
    this.#token = tokenEndpoint(key, () => `${this.base}/token`, this.#breaks)
    this.#server = createServer((incoming, outgoing) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('end', () => {
        const url = new URL(incoming.url ?? '/', this.base)
        const { method = 'GET', headers } = incoming
        this.requests.push(`${method} ${url.pathname}`)
        const request = { method, url, headers: headers as Record<string, string>, body: Buffer.concat(chunks).toString() }
        void this.#answer(request).then(({ status, headers: answered = {}, body }) => {
          outgoing.writeHead(status, answered).end(method === 'HEAD' ? undefined : body)
        })
      })
    })
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    this.base = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
    return this
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  /** Exports that nobody has deleted. */
  get left(): number {
    return this.#jobs.size
  }

  async #answer(request: Request): Promise<Answer> {
    const { method, url, headers } = request
    const path = url.pathname
    const breaks = this.#breaks
    if (path === '/token') {
      const { status, body } = await this.#token(new URLSearchParams(request.body))
      return { status, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }
    }
    if (path === '/.well-known/smart-configuration') return this.#smart()
    if (path === '/metadata') return fhir(200, this.#capability())
    const scope = /^Bearer (.*)$/.exec(headers['authorization'] ?? '')?.[1] ?? ''
    const isFile = path.startsWith('/files/')
    const isForged = scope !== '' && !scope.startsWith('system/') && !breaks('AU-16')
    const isOpen =
      (breaks('FI-07') && isFile) || (breaks('AU-17') && path.startsWith('/jobs/')) || (breaks('AU-16') && LEVEL.test(path))
    if (isForged || (scope === '' && !isOpen)) {
      return fhir(401, outcomeOf('no token'), breaks('AU-20') ? {} : { 'WWW-Authenticate': 'Bearer' })
    }
    if (breaks('KO-01') && path.startsWith('/Patient/no-such')) return { status: 202 }
    if (LEVEL.test(path)) return this.#kickoff(request, scope === '' ? 'system/*.rs' : scope)
    if (breaks('ST-17') && path.startsWith('/jobs/') && method === 'GET' && headers['accept']?.includes('fhir'))
      return { status: 406 }
    if (path.startsWith('/jobs/')) return this.#status(method, path.slice('/jobs/'.length), url)
    if (isFile) return this.#file(request, scope)
    if (path.startsWith('/attachments/')) return breaks('FI-14') ? fhir(404, outcomeOf('none')) : { status: 200, body: 'text' }
    if (path === '/Group' && !breaks('KO-18')) return fhir(200, { resourceType: 'Bundle', entry: [{ resource: { resourceType: 'Group', id: 'g1' } }] }) // prettier-ignore
    if (path === '/Group/g1') return fhir(200, { resourceType: 'Group', id: 'g1' })
    return fhir(404, outcomeOf('nothing here'))
  }

  #smart(): Answer {
    const breaks = this.#breaks
    const configuration = {
      token_endpoint: `${this.base}/token`,
      ...(breaks('CS-08') ? { authorization_endpoint: '/authorize' } : {}),
      grant_types_supported: ['client_credentials'],
      capabilities: ['client-confidential-asymmetric', 'permission-v1', 'permission-v2'],
      code_challenge_methods_supported: breaks('CS-09') ? ['S256', 'plain'] : ['S256'],
    }
    return { status: 200, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(configuration) }
  }

  #capability(): Json {
    const breaks = this.#breaks
    const operation = (name: string) => [
      { name: breaks('CS-03') ? 'bulk' : 'export', definition: `${BULK}/OperationDefinition/${name}` },
    ]
    const types = ['Patient', 'Condition', 'DocumentReference', 'Provenance', 'Group'].filter((type) => !breaks('CS-04') || type !== 'Condition') // prettier-ignore
    const resource = types.map((type) => ({
      type,
      ...(type === 'Patient' ? { operation: operation('patient-export') } : {}),
      ...(type === 'Group' ? { operation: operation('group-export') } : {}),
      ...(type === 'Group' ? { extension: [{ url: `${BULK}/${breaks('CS-05') ? 'Extension' : 'StructureDefinition'}/operation-not-supported`, valueCanonical: `${BULK}/CapabilityStatement/bulk-data` }] } : {}), // prettier-ignore
    }))
    return {
      resourceType: 'CapabilityStatement',
      instantiates: breaks('CS-01') ? [] : [`${BULK}/CapabilityStatement/bulk-data`],
      rest: [{ mode: 'server', ...(breaks('CS-06') ? {} : { documentation: 'what there is to know' }), resource }],
    }
  }

  #kickoff({ method, url, headers, body }: Request, scope: string): Answer {
    const breaks = this.#breaks
    const refuse = (why: string, status = 400): Answer =>
      breaks('KO-12') ? { status, headers: { 'Content-Type': 'text/plain' }, body: why } : fhir(status, outcomeOf(why))
    const [, patient, group] = LEVEL.exec(url.pathname) ?? []
    if (patient === undefined && group === undefined) return refuse('no system level')
    if (group !== undefined && group !== 'g1' && !breaks('AU-19')) return refuse('no such group', 404)
    const readable = (type: string): boolean => covers(scope, type)
    if (group !== undefined && !readable('Group')) return refuse('the group may not be read', 403)
    if (headers['accept'] === undefined && breaks('KO-07')) return { status: 406 }
    if (headers['prefer'] === undefined && breaks('KO-08')) return { status: 400 }
    if (method === 'POST' && breaks('KO-03')) return { status: 405 }
    const all = resourcesAt(this.base)
    const isLenient = (headers['prefer'] ?? '').includes('handling=lenient')
    const asked = read(givenIn(url, body), all, method === 'POST', isLenient, breaks)
    if (typeof asked === 'string') return refuse(asked)
    if (asked.isOrganized && breaks('PA-17')) return { status: 501 }
    if (asked.types.some((type) => !readable(type)) && !breaks('AU-18')) return refuse('beyond the token', 403)
    const isSeparate = (headers['prefer'] ?? '').includes('separate-export-status')
    const id = `${this.#jobs.size + 1}-${this.requests.length}`
    const rows = select(all, asked, readable, breaks)
    this.#jobs.set(id, { request: breaks('MF-02') ? this.base : url.href, asked, rows, isSeparate, polls: 0 })
    const location = breaks('KO-11') ? `/jobs/${id}` : `${this.base}/jobs/${id}`
    const applied = isSeparate ? { 'Preference-Applied': breaks('KO-10') ? 'separate-export-status' : 'respond-async, separate-export-status' } : {} // prettier-ignore
    return { status: 202, headers: { 'Content-Location': location, ...applied } }
  }

  #status(method: string, path: string, url: URL): Answer {
    const breaks = this.#breaks
    const [id = ''] = path.split('/')
    const job = this.#jobs.get(id)
    const gone = breaks('ST-06') ? { 'Content-Type': 'application/json' } : {}
    if (job === undefined) {
      if (method === 'DELETE') return breaks('DL-03') ? { status: 404 } : fhir(404, outcomeOf('no such export'))
      return breaks('DL-02') ? fhir(410, outcomeOf('it was deleted')) : fhir(404, outcomeOf('no such export'), gone)
    }
    if (method === 'DELETE') {
      this.#jobs.delete(id)
      return { status: breaks('DL-01') ? 204 : 202 }
    }
    job.polls += 1
    const told = (status: string): Record<string, string> =>
      (job.isSeparate && !breaks('ST-10')) || (breaks('ST-10') && !job.isSeparate) ? { 'X-Export-Status': status } : {}
    if (job.polls === 1) {
      const progress = breaks('ST-02') ? 'slowly '.repeat(20) : '50% complete'
      if (breaks('ST-13') && job.asked.isPaged)
        return { status: 202, headers: { 'Content-Type': 'text/plain' }, body: '{"output":[]}' }
      const wait: Record<string, string> = breaks('ST-03') ? { 'Retry-After': 'soon' } : { 'Retry-After': '1' }
      return { status: job.isSeparate ? 200 : 202, headers: { 'X-Progress': progress, ...wait, ...told('202 Accepted') } }
    }
    const type = breaks('ST-11') ? 'text/json' : 'application/json'
    const expires: Record<string, string> = breaks('ST-12') ? {} : { Expires: EXPIRES }
    const body = JSON.stringify(this.#manifest(id, job, url.searchParams.get('page') === '2'))
    return { status: 200, headers: { 'Content-Type': type, ...expires, ...told('200 OK') }, body }
  }

  #manifest(id: string, job: Job, isSecond: boolean): Json {
    const breaks = this.#breaks
    const at = (name: string): string => `${breaks('MF-05') && name === 'Provenance' ? '' : this.base}/files/${id}/${name}`
    const types = [...new Set(job.rows.map((row) => textOf(row['resourceType'])))]
    const listed = job.asked.isPaged ? types.filter((_, index) => (index === 0) !== isSecond) : types
    const output = job.asked.isOrganized
      ? [
          {
            ...(breaks('MF-06') ? { type: 'Patient' } : {}),
            url: at('organized'),
            ...(breaks('MF-09') ? { continuesInFile: at('nowhere') } : {}),
          },
        ]
      : listed.map((type) => ({
          type: breaks('FI-06') && type === 'Provenance' ? 'Condition' : type,
          url: at(type),
          count: job.rows.filter(({ resourceType }) => resourceType === type).length + (breaks('MF-08') ? 1 : 0),
        }))
    const errors = job.asked.ignored.length > 0 && !breaks('MF-22') ? [{ type: 'OperationOutcome', url: at('error') }] : []
    return {
      transactionTime: breaks('MF-01') ? '2026-01-02' : TRANSACTION_TIME,
      request: job.request,
      requiresAccessToken: breaks('MF-03') ? 'true' : true,
      ...(breaks('MF-04') && output.length === 0
        ? {}
        : { output: breaks('MF-07') && !job.asked.isOrganized ? [...output, { type: 'Patient', url: at('none') }] : output }),
      deleted: job.asked.isIncremental ? [{ type: breaks('MF-11') ? 'Patient' : 'Bundle', url: at('deleted') }] : [],
      ...(breaks('MF-14') && errors.length === 0 ? {} : { error: errors }),
      ...(breaks('MF-18') ? { extension: [] } : {}),
      ...(job.asked.isOrganized && !breaks('MF-10') ? { outputOrganizedBy: 'Patient' } : {}),
      ...(((job.asked.isPaged && !breaks('PA-18')) || breaks('MF-16')) && !isSecond ? { link: [{ relation: 'next', url: `${this.base}/jobs/${id}?page=2` }] } : {}), // prettier-ignore
      ...(breaks('ST-14') && !job.asked.isPaged ? { extension: { polls: job.polls } } : {}),
      ...(breaks('MF-17') && isSecond ? { extension: { page: 2 } } : {}),
    }
  }

  #file({ method, url, headers }: Request, scope: string): Answer {
    const breaks = this.#breaks
    const [, , id = '', name = ''] = url.pathname.split('/')
    const job = this.#jobs.get(id)
    if (job === undefined || (breaks('FI-01') && name === 'Provenance')) return { status: job === undefined ? 404 : 307 }
    if (/^[A-Z]/.test(name) && scope !== '' && !covers(scope, name)) return fhir(403, outcomeOf('beyond the token'))
    if (breaks('FI-02') && headers['accept'] === '*/*') return { status: 406 }
    const rows = job.rows.filter(({ resourceType }) => resourceType === name)
    const body = Buffer.from(this.#content(name, job, rows))
    const type = breaks('FI-04') ? { 'Content-Type': 'application/ndjson' } : { 'Content-Type': 'application/fhir+ndjson' }
    if (headers['accept-encoding'] === 'gzip') {
      const packed = breaks('FI-10') ? gzipSync('') : gzipSync(body)
      return { status: 200, headers: { ...type, 'Content-Encoding': 'gzip' }, body: packed }
    }
    const range = headers['range'] === 'bytes=1-'
    const sent = range ? body.subarray(breaks('FI-15') ? 2 : 1) : body
    const length = { 'Content-Length': String(sent.length) }
    return {
      status: range ? 206 : 200,
      headers: { ...type, ...length, 'Accept-Ranges': 'bytes' },
      ...(method === 'HEAD' ? {} : { body: sent }),
    }
  }

  #content(name: string, job: Job, rows: readonly Json[]): string {
    const breaks = this.#breaks
    if (name === 'error') return ndjson([breaks('MF-15') ? { resourceType: 'Basic', about: job.asked.ignored } : outcomeOf(job.asked.ignored.join())]) // prettier-ignore
    if (name === 'deleted') {
      const url = breaks('MF-13') ? 'Patient/p1' : 'Patient/gone'
      return ndjson([
        {
          resourceType: 'Bundle',
          type: breaks('MF-12') ? 'batch' : 'transaction',
          entry: [{ request: { method: 'DELETE', url } }],
        },
      ])
    }
    if (name === 'organized') return this.#blocks(job.rows)
    if (breaks('FI-05') && name === 'Condition') return `${ndjson(rows)}{\n`
    if (breaks('FI-11') && name === 'DocumentReference') return ndjson([...rows.slice(1), ...rows.slice(-1)])
    if (breaks('KO-17') && name === 'Condition' && job.asked.elements.length === 0) return ndjson(rows.map((row) => ({ ...row, asserter: { reference: 'https://ehr.example/r4/Practitioner/1' } }))) // prettier-ignore
    if (breaks('KO-15') && name === 'Condition' && job.asked.patients.length === 0) return ndjson(rows.map((row, index) => (index > 0 ? row : { ...row, subject: { reference: 'Patient/other' } }))) // prettier-ignore
    return ndjson(rows)
  }

  #blocks(rows: readonly Json[]): string {
    return rows
      .filter(({ resourceType }) => resourceType === 'Patient')
      .map((patient) => {
        const header = {
          resourceType: 'Parameters',
          parameter: [{ name: 'header', valueReference: { reference: keyOf(patient) } }],
        }
        const own = rows.filter((row) => row['resourceType'] !== 'Patient' && patientsOf(row)?.has(keyOf(patient)) === true)
        return ndjson(this.#breaks('FI-12') ? [...own, header, patient] : [header, patient, ...own])
      })
      .join('')
  }
}
