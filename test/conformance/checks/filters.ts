import type { Parameters } from '../exports.ts'
import { isRefusal, keyOf, objects, patientsOf, textOf, type Json } from '../fhir.ts'
import { filesIn, keysOf, resourcesOf, sameKeys } from '../files.ts'
import { NotHad } from '../verdict.ts'
import type { Check } from './check.ts'
import { refusedWell } from './kickoff.ts'
import { honoured, manifestExchange, REFUSED } from './parameters.ts'

const patientsWith = (all: readonly Json[], member: string, values: readonly string[]): ReadonlySet<string> =>
  new Set(
    all
      .filter((resource) => resource['resourceType'] === 'Patient' && values.includes(textOf(resource[member])))
      .map((resource) => keyOf(resource)),
  )

/** What filters are tried with: a search parameter of Patient that US Core demands, its element, and two values that are there. */
const subject = (all: readonly Json[]): { parameter: string; member: string; values: readonly [string, string] } => {
  const patients = all.filter(({ resourceType }) => resourceType === 'Patient')
  for (const [parameter, member] of [
    ['gender', 'gender'],
    ['birthdate', 'birthDate'],
  ] as const) {
    // prettier-ignore
    const [first, second] = [...new Set(patients.map((resource) => textOf(resource[member])))].filter((value) => value !== '').toSorted()
    if (first !== undefined && second !== undefined) return { parameter, member, values: [first, second] }
  }
  throw new NotHad('the patients differ neither in gender nor in birth date, by which filters are tried')
}

const conditions = (resources: readonly Json[]): ReadonlySet<string> =>
  new Set(resources.filter(({ resourceType }) => resourceType === 'Condition').map(keyOf))

const filters: Check = {
  ids: ['PA-13', 'PA-14', 'PA-15', 'PA-16'],
  run: async (context) => {
    const { exports, find } = context
    const included = await exports.outcome({ params: [['_typeFilter', 'Patient?_include=Patient:organization']] })
    find.shall('PA-15', isRefusal(included), 'a filter with _include is accepted', included)
    const unknown = await exports.outcome({ params: [['_typeFilter', 'Patient?no-such-parameter=1']] })
    find.should(
      'PA-16',
      refusedWell(unknown),
      `a search parameter that does not exist is answered with ${unknown.status}`,
      unknown,
    )

    const all = resourcesOf(await exports.whole())
    const { parameter, member, values: [first, second] } = subject(all) // prettier-ignore
    const cases: readonly (readonly [string, Parameters, readonly string[]])[] = [
      ['PA-13', [['_typeFilter', `Patient?${parameter}=${first}`]], [first]],
      ['PA-14', [['_typeFilter', `Patient?${parameter}=${first}`], ['_typeFilter', `Patient?${parameter}=${second}`]], [first, second]], // prettier-ignore
      ['PA-14', [['_typeFilter', `Patient?${parameter}=${first},${second}`]], [first, second]],
    ]
    for (const [id, params, values] of cases) {
      const run = await honoured(context, [id], { params: [['_type', 'Patient'], ...params] })
      if (run === undefined) continue
      const isRight = sameKeys(keysOf(run), patientsWith(all, member, values))
      find.shall(
        id,
        isRight,
        `${params.map(([, value]) => value).join(' and ')} does not give the patients that match`,
        manifestExchange(run),
      )
    }
    const other = await honoured(context, ['PA-14'], {
      params: [['_type', 'Patient,Condition'], ['_typeFilter', `Patient?${parameter}=${first}`]], // prettier-ignore
    })
    if (other === undefined) return
    const isKept = sameKeys(conditions(resourcesOf(other)), conditions(all))
    find.shall('PA-14', isKept, 'a filter of Patient changes which conditions come', manifestExchange(other))
  },
}

/** The resource that a block is about; `undefined` for a line that begins no block. */
const headerOf = (resource: Json): string | undefined => {
  if (resource['resourceType'] !== 'Parameters') return undefined
  const header = objects(resource['parameter']).find(({ name }) => name === 'header')
  return textOf((header?.['valueReference'] as Json | undefined)?.['reference'])
}

/** What is wrong with the blocks of one file; `undefined` when nothing is. */
const blocksProblem = (resources: readonly Json[]): string | undefined => {
  let owner: string | undefined
  let place = 0
  for (const resource of resources) {
    const header = headerOf(resource)
    if (header !== undefined) {
      if (!header.startsWith('Patient/') && !header.includes('/Patient/')) return 'a header does not refer to a Patient'
      owner = header.split('/').slice(-2).join('/')
      place = 0
      continue
    }
    if (owner === undefined) return 'a file does not begin with a header'
    if (place === 0 && keyOf(resource) !== owner) return 'a header is not followed by its resource'
    const owners = patientsOf(resource)
    if (owners !== undefined && owners.size > 0 && !owners.has(owner)) return 'a block holds a resource of another patient'
    place += 1
  }
  return undefined
}

const organized: Check = {
  ids: ['PA-17', 'MF-06', 'MF-09', 'MF-10', 'FI-12'],
  run: async (context) => {
    const { exports, find } = context
    const run = await honoured(context, ['PA-17'], { params: [['_type', 'Patient,Condition'], ['organizeOutputBy', 'Patient']] }) // prettier-ignore
    if (run === undefined) {
      for (const id of ['MF-09', 'MF-10', 'FI-12']) find.skip(id, `organizeOutputBy is ${REFUSED}`)
      return
    }
    const evidence = manifestExchange(run)
    const files = filesIn(run, 'output')
    find.shall('PA-17', true, '')
    find.shall('MF-10', run.manifest['outputOrganizedBy'] === 'Patient', 'outputOrganizedBy is not Patient', evidence)
    find.shall('MF-06', files.every(({ item }) => item['type'] === undefined), 'an organized file has a type', evidence) // prettier-ignore
    const urls = new Set(files.map(({ url }) => url))
    const targets = files.flatMap(({ item }) => item['continuesInFile'] ?? [])
    if (targets.length === 0) find.skip('MF-09', 'no block was split over files')
    else find.shall('MF-09', targets.every((url) => urls.has(textOf(url))), 'continuesInFile names no file of output', evidence) // prettier-ignore
    const continued = new Set(targets)
    for (const { resources, url, exchange } of files) {
      // A block that goes on repeats its header; its resource has come before.
      const problem =
        continued.has(url) && resources[0] !== undefined && headerOf(resources[0]) !== undefined
          ? undefined
          : blocksProblem(resources)
      find.shall('FI-12', problem === undefined, problem ?? '', exchange)
    }
    const wanted = await exports.whole({ params: [['_type', 'Patient,Condition']] })
    const given = new Set([...keysOf(run)].filter((key) => !key.startsWith('Parameters/')))
    find.shall('PA-17', sameKeys(given, keysOf(wanted)), 'organized output does not hold the same resources', evidence)
  },
}

export const filterChecks: readonly Check[] = [filters, organized]
