import { jsonOf, type Exchange } from '../exchange.ts'
import { statusUrlOf } from '../exports.ts'
import {
  FHIR_JSON,
  isClientError,
  isOutcome,
  isRefusal,
  keyOf,
  LEVELS,
  localReference,
  mediaTypeOf,
  patientsOf,
  referencesIn,
  retryAfterMs,
  textOf,
  type Json,
} from '../fhir.ts'
import { filesIn, keysOf, resourcesOf, sameKeys } from '../files.ts'
import type { Findings } from '../verdict.ts'
import type { Check } from './check.ts'

/** A refusal that a client can read [KO-12]. */
export const refusedWell = (exchange: Exchange): boolean =>
  isClientError(exchange) && isOutcome(exchange) && mediaTypeOf(exchange) === FHIR_JSON

/** Records what every refused kick-off has to look like. */
const refusal = (find: Findings, exchange: Exchange): void => {
  if (!isRefusal(exchange) || exchange.status === 429) return
  const isWell = isOutcome(exchange) && mediaTypeOf(exchange) === FHIR_JSON
  find.shall('KO-12', isWell, 'a refused kick-off has no OperationOutcome as application/fhir+json', exchange)
}

const accepted: Check = {
  ids: ['KO-02', 'KO-11'],
  run: async ({ exports, find }) => {
    const { kickoff } = await exports.run()
    find.shall('KO-02', kickoff.status === 202, `a GET kick-off is answered with ${kickoff.status}, not 202`, kickoff)
    if (kickoff.status !== 202) return
    find.shall('KO-11', statusUrlOf(kickoff) !== undefined, 'Content-Location is missing or no absolute URL', kickoff)
  },
}

const levels: Check = {
  ids: ['KO-01', 'CS-02', 'KO-12'],
  run: async ({ server, exports, find }) => {
    const advertised = await server.advertised()
    const groupId = await server.groupId()
    for (const level of LEVELS) {
      if (level === 'group' && groupId === undefined) {
        find.skip('KO-01', 'no group was named, and none was found')
        continue
      }
      // A server may take a list of patients only; then it says so in an OperationOutcome.
      const answer = await exports.probe({ level, params: [['_type', 'Patient']] })
      if (advertised.includes(level)) {
        const isOffered = answer.status === 202 || (level === 'patient' && (await acceptsListed(exports, answer)))
        find.should(
          'KO-01',
          isOffered,
          `the ${level} level is advertised, and a kick-off is answered with ${answer.status}`,
          answer,
        )
        find.shall(
          'CS-02',
          isOffered,
          `the ${level} level is advertised, and a kick-off is answered with ${answer.status}`,
          answer,
        )
      } else if (advertised.length > 0) {
        const isAbsent = isRefusal(answer)
        find.shall('CS-02', isAbsent, `the ${level} level exports, and the CapabilityStatement does not say so`, answer)
        find.should(
          'KO-01',
          isAbsent,
          `the ${level} level is not advertised, and a kick-off is answered with ${answer.status}`,
          answer,
        )
        refusal(find, answer)
      }
    }
    if (advertised.length === 0) find.skip('CS-02', 'there is no CapabilityStatement that names export operations')
    const instance = await server.send({
      url: `${server.base}/Patient/no-such-patient/$export`,
      headers: { Accept: FHIR_JSON, Prefer: 'respond-async' },
    })
    find.should('KO-01', isRefusal(instance), 'Patient/[id]/$export is answered, and is no export of Bulk Data', instance)
  },
}

/** Whether a Patient level that refused everybody takes a list. */
const acceptsListed = async (exports: Parameters<Check['run']>[0]['exports'], answer: Exchange): Promise<boolean> => {
  if (!refusedWell(answer)) return false
  const everyone = resourcesOf(await exports.run()).find((resource) => resource['resourceType'] === 'Patient')
  if (everyone === undefined) return false
  const listed = await exports.probe({ level: 'patient', method: 'POST', params: [['patient', keyOf(everyone)]] })
  return listed.status === 202
}

const post: Check = {
  ids: ['KO-03', 'KO-05', 'KO-12'],
  run: async ({ exports, find }) => {
    const joined = await exports.run({ params: [['_type', 'Patient,Condition']] })
    const repeated = await exports.run({ params: [['_type', 'Patient'], ['_type', 'Condition']] }) // prettier-ignore
    const posted = await exports.run({ method: 'POST', params: [['_type', 'Patient'], ['_type', 'Condition']] }) // prettier-ignore
    const isTaken = posted.kickoff.status === 202
    find.shall(
      'KO-03',
      isTaken || refusedWell(posted.kickoff),
      'POST is neither accepted nor refused with an OperationOutcome',
      posted.kickoff,
      isTaken ? '' : 'refused with an OperationOutcome',
    )
    refusal(find, posted.kickoff)
    if (joined.manifest === undefined) {
      // A server may do without `_type` as long as it says so.
      if (joined.kickoff.status === 202) find.skip('KO-05', 'the export with _type did not complete')
      else if (refusedWell(joined.kickoff)) find.skip('KO-05', 'the server does not take _type')
      else find.shall('KO-05', false, `values joined by commas are answered with ${joined.kickoff.status}`, joined.kickoff)
      return
    }
    const keys = keysOf(joined)
    for (const [run, how] of isTaken
      ? ([
          [repeated, 'repeated'],
          [posted, 'posted'],
        ] as const)
      : ([[repeated, 'repeated']] as const)) {
      // prettier-ignore
      const isSame = run.manifest !== undefined && sameKeys(keys, keysOf(run))
      find.shall('KO-05', isSame, `values that are ${how} do not give what values joined by commas give`, run.kickoff)
    }
  },
}

const headers: Check = {
  ids: ['KO-07', 'KO-08'],
  run: async ({ exports, find }) => {
    const params = [['_type', 'Patient']] as const
    for (const [id, change, what] of [
      ['KO-07', { accept: null }, 'without Accept'],
      ['KO-07', { accept: '*/*' }, 'with Accept: */*'],
      ['KO-08', { prefer: null }, 'without Prefer'],
    ] as const) {
      const answer = await exports.probe({ params, ...change })
      const isTaken = answer.status === 202
      find.shall(
        id,
        isTaken || refusedWell(answer),
        `a kick-off ${what} is answered with ${answer.status} and no OperationOutcome`,
        answer,
        isTaken ? '' : 'refused with an OperationOutcome',
      )
    }
  },
}

const UNKNOWN = 'noSuchParameter'

const refused: Check = {
  ids: ['KO-09', 'KO-12', 'MF-22', 'MF-15', 'ST-09'],
  run: async ({ exports, find }) => {
    const wrong = await exports.probe({ params: [['_since', 'yesterday']] })
    find.shall('KO-12', isRefusal(wrong), 'a kick-off with a _since that is no instant is accepted', wrong)
    refusal(find, wrong)
    const params = [['_type', 'Patient'], [UNKNOWN, '1']] as const // prettier-ignore
    const strict = await exports.probe({ params })
    refusal(find, strict)
    const lenient = await exports.run({ params, prefer: 'respond-async, handling=lenient' })
    const isSound = lenient.kickoff.status === 202 || refusedWell(lenient.kickoff)
    find.shall('KO-09', isSound, `a lenient kick-off is answered with ${lenient.kickoff.status}`, lenient.kickoff)
    const told = 'an unknown parameter is accepted from a client that is not lenient'
    find.should('KO-09', isRefusal(strict), told, strict)
    if (lenient.manifest === undefined) {
      find.skip('MF-22', 'the server does not proceed when handling is lenient')
      return
    }
    const errors = filesIn(lenient, 'error')
    const names = errors.flatMap(({ resources }) => resources).filter((outcome) => JSON.stringify(outcome).includes(UNKNOWN))
    const status = lenient.polls.at(-1)
    find.should(
      'MF-22',
      names.length === 1,
      `${names.length} OperationOutcomes in error name the ignored parameter, not one`,
      status,
    )
  },
}

const busy: Check = {
  ids: ['KO-13'],
  run: async ({ exports, find }) => {
    await exports.run()
    for (const answer of exports.busy) {
      const isTold = retryAfterMs(answer.headers['retry-after']) !== undefined
      find.should('KO-13', isTold, 'a kick-off is answered with 429 and no Retry-After', answer)
    }
  },
}

const compartments: Check = {
  ids: ['KO-15', 'KO-16', 'KO-17'],
  run: async ({ server, exports, find }) => {
    const level = await server.mainLevel()
    const run = await exports.whole()
    const resources = resourcesOf(run)
    const evidence = run.polls.at(-1)
    const outside = level === 'system' ? [] : strangers(resources)
    if (level === 'system') find.skip('KO-15', 'only the system level is offered')
    else
      find.should('KO-15', outside.length === 0, `${outside.length} resources belong to patients who are not exported`, evidence)
    const binaries = resources.filter((resource) => resource['resourceType'] === 'Binary')
    const isOfPatients = binaries.length > 0 && (level !== 'system' || binaries.some((binary) => linked(binary)))
    find.shall('KO-16', !isOfPatients, `${binaries.length} documents of patients come as Binary`, evidence)
    const foreign = resources.flatMap(referencesIn).filter((reference) => isForeign(reference, server.base))
    const hosts = [...new Set(foreign.map((reference) => new URL(reference).host))].join(', ')
    find.should('KO-17', foreign.length === 0, `${foreign.length} references lead to another server: ${hosts}`, evidence)
  },
}

const linked = (binary: Json): boolean => JSON.stringify(binary['securityContext'] ?? {}).includes('Patient/')

/** Resources in the compartments of patients none of whom is in the export. */
const strangers = (resources: readonly Json[]): readonly Json[] => {
  const patients = new Set(resources.filter(({ resourceType }) => resourceType === 'Patient').map(keyOf))
  return resources.filter((resource) => {
    const owners = patientsOf(resource)
    return owners !== undefined && owners.size > 0 && [...owners].every((owner) => !patients.has(owner))
  })
}

/** A literal reference to a resource of another FHIR server. */
const isForeign = (reference: string, base: string): boolean =>
  /^https?:\/\//.test(reference) && !reference.startsWith(`${base}/`) && localReference(reference) !== reference

const groups: Check = {
  ids: ['KO-18'],
  run: async ({ server, find }) => {
    const groupId = await server.groupId()
    if (groupId === undefined || !(await server.levels()).includes('group')) return find.skip('KO-18', 'no group is exported')
    const search = await server.groups()
    const read = await server.send({ url: `${server.base}/Group/${groupId}`, headers: { Accept: FHIR_JSON } })
    const group = jsonOf(read) as Json | undefined
    find.should('KO-18', read.status === 200 && textOf(group?.['id']) === groupId, `reading the group is ${read.status}`, read)
    find.should('KO-18', search.status === 200, `searching groups is ${search.status}`, search)
    return undefined
  },
}

export const kickoffChecks: readonly Check[] = [accepted, levels, post, headers, refused, busy, compartments, groups]
