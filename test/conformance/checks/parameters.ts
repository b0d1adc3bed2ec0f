import type { Exchange } from '../exchange.ts'
import type { Export, KickOff, Parameters } from '../exports.ts'
import { isRefusal, keyOf, lastUpdatedMs, MANDATORY, patientsOf, textOf, type Json } from '../fhir.ts'
import { filesIn, keysOf, resourcesOf, sameKeys } from '../files.ts'
import { NotHad } from '../verdict.ts'
import type { Check, Context } from './check.ts'
import { refusedWell } from './kickoff.ts'

const REFUSED = 'refused with an OperationOutcome'

/** An export with an optional parameter; `undefined` when it was refused, and the requirements have their verdict. */
const honoured = async (
  { exports, find }: Context,
  ids: readonly string[],
  kickOff: KickOff,
): Promise<(Export & { readonly manifest: Json }) | undefined> => {
  const run = await exports.run(kickOff)
  if (run.kickoff.status === 202) return exports.whole(kickOff)
  const isWell = refusedWell(run.kickoff)
  const wrong = `a kick-off with it is answered with ${run.kickoff.status} and no OperationOutcome`
  for (const id of ids) find.shall(id, isWell, wrong, run.kickoff, REFUSED)
  return undefined
}

const manifestExchange = (run: Export): Exchange => run.polls.at(-1) ?? run.kickoff

const outputFormat: Check = {
  ids: ['PA-01', 'MF-21'],
  run: async ({ exports, find }) => {
    for (const format of ['application/fhir+ndjson', 'application/ndjson', 'ndjson']) {
      const answer = await exports.probe({ params: [['_type', 'Patient'], ['_outputFormat', format]] }) // prettier-ignore
      find.shall('PA-01', answer.status === 202, `_outputFormat=${format} is answered with ${answer.status}`, answer)
    }
    const refused = await exports.probe({ params: [['_outputFormat', 'text/csv']] })
    const isHonest = refused.status === 202 || refusedWell(refused)
    find.shall('PA-01', isHonest, '_outputFormat=text/csv is refused without an OperationOutcome', refused)
    find.should('PA-01', isRefusal(refused), '_outputFormat=text/csv is accepted', refused)
    const run = await exports.complete()
    const other = filesIn(run, 'output').find(
      ({ exchange }) => exchange.status === 200 && !/ndjson/.test(exchange.headers['content-type'] ?? ''),
    )
    find.should('MF-21', other === undefined, 'a file is not NDJSON', other?.exchange)
  },
}

/** An instant that parts what was exported into what is older and what is newer; neither half has it. */
const median = (resources: readonly Json[]): number | undefined => {
  const times = [...new Set(resources.flatMap((resource) => lastUpdatedMs(resource) ?? []))].toSorted((one, other) => one - other)
  const middle = times[Math.floor(times.length / 2)]
  const before = times[Math.floor(times.length / 2) - 1]
  return middle === undefined || before === undefined ? undefined : Math.floor((middle + before) / 2)
}

const instant = (ms: number): string => new Date(ms).toISOString()

const windows: Check = {
  ids: ['PA-02', 'PA-04'],
  run: async (context) => {
    const { exports, find } = context
    const all = resourcesOf(await exports.whole())
    const atMs = median(all)
    if (atMs === undefined) throw new NotHad('the exported resources do not tell two times of change in meta.lastUpdated')
    const sides = [
      ['PA-02', '_since', (ms: number) => ms > atMs],
      ['PA-04', '_until', (ms: number) => ms < atMs],
    ] as const
    for (const [id, name, isInside] of sides) {
      const kickOff: KickOff = { params: [[name, instant(atMs)]] }
      if (id === 'PA-02') {
        // A server must take `_since`; `_until` it may refuse.
        const { kickoff } = await exports.run(kickOff)
        find.shall(id, kickoff.status === 202, `_since is answered with ${kickoff.status}`, kickoff)
        if (kickoff.status !== 202) continue
      }
      const run = await honoured(context, [id], kickOff)
      if (run === undefined) continue
      const given = resourcesOf(run)
      const outside = given.filter((resource) => !isInside(lastUpdatedMs(resource) ?? (id === 'PA-02' ? Infinity : -Infinity)))
      // What is referred to may come along, however old it is.
      const owned = outside.filter((resource) => patientsOf(resource) !== undefined)
      find.shall(id, owned.length === 0, `${owned.length} resources of the export lie outside ${name}`, manifestExchange(run))
      const keys = keysOf(run)
      const missing = all.filter((resource) => isInside(lastUpdatedMs(resource) ?? Number.NaN) && !keys.has(keyOf(resource)))
      find.shall(id, missing.length === 0, `${missing.length} resources inside ${name} are missing`, manifestExchange(run))
    }
  },
}

const types: Check = {
  ids: ['PA-05', 'PA-06', 'PA-07'],
  run: async (context) => {
    const { exports, find } = context
    const params: Parameters = [['_type', 'Patient,Condition']]
    const foo = await exports.probe({ params: [['_type', 'NoSuchType']] })
    find.should('PA-07', refusedWell(foo), `a type that does not exist is answered with ${foo.status}`, foo)
    const run = await honoured(context, ['PA-05'], { params })
    if (run === undefined) return
    const others = resourcesOf(run).filter(({ resourceType }) => !['Patient', 'Condition'].includes(textOf(resourceType)))
    const listed = filesIn(run, 'output').filter(({ item }) => !['Patient', 'Condition'].includes(textOf(item['type'])))
    const isLimited = others.length === 0 && listed.length === 0
    find.shall('PA-05', isLimited, `${others.length} resources are of other types than _type`, manifestExchange(run))
    const everything = await exports.whole()
    const all = keysOf(everything)
    const missing = [...keysOf(run)].filter((key) => !all.has(key))
    const wrong = `${missing.length} resources that come with _type are missing without it`
    find.shall('PA-06', missing.length === 0, wrong, manifestExchange(everything))
  },
}

/** Members that a pruned resource may always have: FHIR's own, and what is mandatory. */
const allowedIn = (type: string, named: readonly string[]): RegExp => {
  const kept = ['resourceType', 'id', 'meta', 'implicitRules', 'modifierExtension', ...(MANDATORY[type] ?? []), ...named]
  // `medication` stands for medicationCodeableConcept too.
  return new RegExp(`^_?(${kept.join('|')})([A-Z]\\w*)?$`)
}

const isSubsetted = (resource: Json): boolean =>
  JSON.stringify((resource['meta'] as Json | undefined)?.['tag'] ?? []).includes('"SUBSETTED"')

const elements: Check = {
  ids: ['PA-08'],
  run: async (context) => {
    const { exports, find } = context
    const all = resourcesOf(await exports.whole())
    const second = Object.keys(MANDATORY).find((type) => all.some(({ resourceType }) => resourceType === type)) ?? 'Observation'
    const params: Parameters = [['_type', `Patient,${second}`], ['_elements', 'Patient.birthDate,subject']] // prettier-ignore
    const run = await honoured(context, ['PA-08'], { params })
    if (run === undefined) return
    const evidence = manifestExchange(run)
    const given = resourcesOf(run)
    for (const [type, named] of [
      ['Patient', ['birthDate', 'subject']],
      [second, ['subject']],
    ] as const) {
      // prettier-ignore
      const allowed = allowedIn(type, named)
      const ofType = given.filter(({ resourceType }) => resourceType === type)
      const extra = new Set(ofType.flatMap((resource) => Object.keys(resource).filter((member) => !allowed.test(member))))
      find.shall('PA-08', extra.size === 0, `${type} has ${[...extra].join(', ')} besides the named elements`, evidence)
      const original = new Map(all.map((resource) => [keyOf(resource), resource]))
      const lost = ofType.filter((resource) => {
        const whole = original.get(keyOf(resource)) ?? {}
        return [...(MANDATORY[type] ?? []), ...named].some((name) => whole[name] !== undefined && resource[name] === undefined)
      })
      find.shall('PA-08', lost.length === 0, `${lost.length} resources of ${type} lack a named or mandatory element`, evidence)
    }
    const untagged = given.filter((resource) => !isSubsetted(resource)).length
    find.shall('PA-08', untagged === 0, `${untagged} resources are not tagged SUBSETTED`, evidence)
  },
}

const patient: Check = {
  ids: ['PA-09', 'PA-10'],
  run: async (context) => {
    const { server, exports, find } = context
    const level = await server.mainLevel()
    if (level === 'system') throw new NotHad('only the system level is offered, which has no patient parameter')
    const all = resourcesOf(await exports.whole())
    const one = all.find(({ resourceType }) => resourceType === 'Patient')
    if (one === undefined) throw new NotHad('the export holds no Patient')
    const byQuery = await exports.probe({ params: [['patient', keyOf(one)]] })
    find.shall('PA-09', isRefusal(byQuery), 'patient is accepted in the query of a GET', byQuery)
    const stranger = await exports.outcome({ method: 'POST', params: [['patient', 'Patient/no-such-patient-0']] })
    find.should('PA-10', refusedWell(stranger), `a patient that does not exist is answered with ${stranger.status}`, stranger)
    const run = await honoured(context, ['PA-09'], { method: 'POST', params: [['patient', keyOf(one)]] })
    if (run === undefined) return
    const leaked = resourcesOf(run).filter((resource) => {
      const owners = patientsOf(resource)
      return owners !== undefined && owners.size > 0 && !owners.has(keyOf(one))
    })
    const evidence = manifestExchange(run)
    find.shall('PA-09', leaked.length === 0, `${leaked.length} resources are of other patients`, evidence)
    const keys = keysOf(run)
    const missing = all.filter((resource) => patientsOf(resource)?.has(keyOf(one)) === true && !keys.has(keyOf(resource)))
    find.shall('PA-09', missing.length === 0, `${missing.length} resources of the patient are missing`, evidence)
  },
}

const provenanceIn = (run: Export): ReadonlySet<string> =>
  new Set(resourcesOf(run).filter(({ resourceType }) => resourceType === 'Provenance').map(keyOf)) // prettier-ignore

const associated: Check = {
  ids: ['PA-11', 'PA-12'],
  run: async (context) => {
    const { exports, find } = context
    const everything = await exports.whole()
    const only = await exports.run({ params: [['_type', 'Provenance']] })
    const all = provenanceIn(everything)
    if (only.manifest !== undefined) {
      const missing = [...provenanceIn(only)].filter((key) => !all.has(key))
      if (missing.length === 0 && all.size === 0) find.skip('PA-12', 'the server has no Provenance for these patients')
      else
        find.shall(
          'PA-12',
          missing.length === 0,
          `${missing.length} Provenance resources come only by _type`,
          manifestExchange(everything),
        )
    } else if (all.size > 0) find.shall('PA-12', true, '')
    else find.skip('PA-12', 'the server exports no Provenance')
    const name = 'includeAssociatedData'
    const relevant = await honoured(context, ['PA-11'], { params: [[name, 'RelevantProvenanceResources']] })
    if (relevant === undefined) return
    const both = await honoured(context, ['PA-11'], { params: [[name, 'LatestProvenanceResources'], [name, 'RelevantProvenanceResources']] }) // prettier-ignore
    const isWidest = both === undefined || sameKeys(provenanceIn(both), provenanceIn(relevant))
    find.shall('PA-11', isWidest, 'both values together do not give what the wider of them gives', both && manifestExchange(both))
    // A server may take one of the values only.
    const latest = await honoured(context, ['PA-11'], { params: [[name, 'LatestProvenanceResources']] })
    const isNarrower = latest === undefined || [...provenanceIn(latest)].every((key) => provenanceIn(relevant).has(key))
    find.shall('PA-11', isNarrower, 'the latest Provenance is not among all of it', latest && manifestExchange(latest))
  },
}

const together: Check = {
  ids: ['PA-20'],
  run: async (context) => {
    const { exports, find } = context
    const all = resourcesOf(await exports.whole())
    const atMs = median(all)
    if (atMs === undefined) throw new NotHad('the exported resources do not tell two times of change in meta.lastUpdated')
    const run = await honoured(context, ['PA-20'], { params: [['_type', 'Patient,Condition'], ['_since', instant(atMs)]] }) // prettier-ignore
    if (run === undefined) return
    const wanted = all.filter(
      (resource) =>
        /^(Patient|Condition)$/.test(textOf(resource['resourceType'])) && (lastUpdatedMs(resource) ?? Infinity) > atMs,
    )
    const isBoth = sameKeys(keysOf(run), new Set(wanted.map(keyOf)))
    find.shall('PA-20', isBoth, '_type and _since together do not give what both allow', manifestExchange(run))
  },
}

export const parameterChecks: readonly Check[] = [outputFormat, windows, types, elements, patient, associated, together]
export { honoured, manifestExchange, REFUSED }
