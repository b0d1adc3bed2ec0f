import { valuesAt } from './compartment.ts'
import { isJson, type Json } from './json.ts'
import { matchesDate, matchesReference, matchesString, matchesToken, type Matches } from './search-values.ts'

type Kind = 'token' | 'date' | 'string' | 'reference'

const MATCHERS: Readonly<Record<Kind, Matches>> = {
  token: matchesToken,
  date: matchesDate,
  string: matchesString,
  reference: matchesReference,
}

interface Parameter {
  readonly kind: Kind
  readonly paths: readonly string[]
  /** Only references to this type count. */
  readonly target?: string
}

const NAME = ['name.text', 'name.family', 'name.given', 'name.prefix', 'name.suffix']

/**
 * The search parameters of the types that the generator makes (https://hl7.org/fhir/R4/searchparameter-registry.html), by type.
 * Each: name, kind, elements.
 */
const TABLE: Readonly<Record<string, string>> = {
  '': '_id token id; _lastUpdated date meta.lastUpdated',
  Patient: `active token active; birthdate date birthDate; family string name.family; gender token gender; given string name.given;
    general-practitioner reference generalPractitioner; identifier token identifier; name string ${NAME.join(' ')};
    organization reference managingOrganization`,
  Encounter: `class token class; date date period; identifier token identifier; location reference location.location;
    participant reference participant.individual; patient patient subject; service-provider reference serviceProvider;
    status token status; subject reference subject; type token type`,
  Condition: `category token category; clinical-status token clinicalStatus; code token code; encounter reference encounter;
    onset-date date onsetDateTime onsetPeriod; patient patient subject; recorded-date date recordedDate; subject reference subject;
    verification-status token verificationStatus`,
  Observation: `category token category; code token code; date date effectiveDateTime effectivePeriod effectiveInstant;
    encounter reference encounter; patient patient subject; performer reference performer; status token status;
    subject reference subject`,
  MedicationRequest: `authoredon date authoredOn; code token medicationCodeableConcept; encounter reference encounter;
    intent token intent; patient patient subject; requester reference requester; status token status; subject reference subject`,
  DocumentReference: `author reference author; category token category; custodian reference custodian; date date date;
    encounter reference context.encounter; identifier token identifier masterIdentifier; patient patient subject;
    period date context.period; status token status; subject reference subject; type token type`,
  Provenance: 'agent reference agent.who; patient patient target; recorded date recorded; target reference target',
  Practitioner: `active token active; family string name.family; given string name.given; identifier token identifier;
    name string ${NAME.join(' ')}`,
  Organization: 'active token active; identifier token identifier; name string name alias; type token type',
  Location:
    'identifier token identifier; name string name alias; organization reference managingOrganization; status token status',
  Device: `device-name string deviceName.name type.text; identifier token identifier; organization reference owner;
    patient patient patient; status token status; type token type`,
}

const parametersOf = (type: string): ReadonlyMap<string, Parameter> =>
  new Map(
    [TABLE[''] ?? '', TABLE[type] ?? '']
      .flatMap((entries) => entries.split(';'))
      .map((entry) => entry.trim().split(/\s+/))
      .map(([name = '', kind = '', ...paths]): [string, Parameter] =>
        kind === 'patient'
          ? [name, { kind: 'reference', paths, target: 'Patient' }]
          : [name, { kind: kind as Kind, paths: paths }],
      ),
  )

/** One `name:modifier=values`. */
const criterion = (
  parameters: ReadonlyMap<string, Parameter>,
  key: string,
  text: string,
): ((resource: Json) => boolean) | undefined => {
  const [name = '', modifier] = key.split(':')
  const parameter = parameters.get(name)
  if (parameter === undefined) return undefined
  const { kind, paths, target } = parameter
  const valuesOf = (resource: Json): readonly unknown[] =>
    paths
      .flatMap((path) => valuesAt(resource, path))
      .filter((value) => target === undefined || (isJson(value) && String(value['reference']).split('/').at(-2) === target))
  if (modifier === 'missing') {
    if (text !== 'true' && text !== 'false') return undefined
    return (resource) => (valuesOf(resource).length === 0) === (text === 'true')
  }
  // A comma that is meant is written `\,`.
  const wanted = text.split(/(?<!\\),/).map((value) => value.replaceAll('\\,', ','))
  const matches = MATCHERS[kind]
  const any = (resource: Json, how?: string): boolean =>
    valuesOf(resource).some((value) => wanted.some((each) => matches(value, each, how)))
  if (modifier === 'not' && kind === 'token') return (resource) => !any(resource)
  const isKnown =
    modifier === undefined ||
    (kind === 'string' && (modifier === 'exact' || modifier === 'contains')) ||
    (kind === 'reference' && /^[A-Z][A-Za-z]+$/.test(modifier))
  return isKnown ? (resource) => any(resource, modifier) : undefined
}

/** The filters in the values of `_typeFilter`. A comma is a search value's own unless the next filter begins behind it [PA-14]. */
export const splitTypeFilters = (values: readonly string[]): readonly string[] =>
  values.flatMap((value) => value.split(/,(?=[A-Z][A-Za-z]*\?)/))

/**
 * A `_typeFilter` value such as `Condition?clinical-status=active,recurrence`: criteria are AND-ed, values of one are OR-ed.
 *
 * @returns The type and its predicate; `undefined` when it is malformed or more than these fakes can do.
 */
export const parseTypeFilter = (value: string): { type: string; passes: (resource: Json) => boolean } | undefined => {
  const parts = /^([A-Z][A-Za-z]+)\?(.+)$/.exec(value)
  const [type, query] = [parts?.[1], parts?.[2]]
  if (type === undefined || query === undefined) return undefined
  const parameters = parametersOf(type)
  const criteria = [...new URLSearchParams(query)].map(([key, text]) => criterion(parameters, key, text))
  const known = criteria.filter((each) => each !== undefined)
  if (known.length < criteria.length || known.length === 0) return undefined
  return { type, passes: (resource) => known.every((holds) => holds(resource)) }
}
