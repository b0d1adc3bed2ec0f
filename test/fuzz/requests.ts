import * as fc from 'fast-check'
import { mostly, pick } from './arbitraries.ts'
import { form, hugeBody, parametersBody } from './bodies.ts'
import { header } from './headers.ts'
import { bent, routes } from './paths.ts'
import { query } from './queries.ts'
import { BAD, GOOD, goodName, MOODS, type Credential, type FuzzRequest, type Mood } from './request.ts'

/*
 * What a hostile client may send. Ids stand as marks such as `{job full open complete}`, so that the same request can be made with an id
 * that nobody has, and so that a failure reads the same every time.
 */

const credential: fc.Arbitrary<Credential> = fc.oneof(
  { weight: 18, arbitrary: fc.record({ name: pick(...GOOD).map(goodName), form: fc.constant('plain' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      name: pick(...GOOD).map(goodName),
      form: pick<Credential['form']>('lower case', 'spaces', 'twice', 'Basic', 'in the query', 'quoted'),
    }),
  },
  { weight: 3, arbitrary: fc.record({ name: pick(...BAD), form: fc.constant('plain' as const) }) },
  { weight: 1, arbitrary: fc.constant({ name: 'operator', form: 'plain' as const }) },
)

const FORM = ['Content-Type', 'application/x-www-form-urlencoded'] as const
/** What a file is now and then asked for with, besides what comes by chance. */
const CONDITIONS: readonly (readonly (readonly [string, string])[])[] = [
  [['If-None-Match', '*']],
  [['Range', 'bytes=0-3']],
  [['Range', 'bytes=99999999-']],
]
const JSON_TYPE = ['Content-Type', 'application/fhir+json'] as const

/** One request. What usually belongs together usually is together, or nothing would get past the first check. */
export const requests: fc.Arbitrary<FuzzRequest> = fc
  .tuple(
    routes,
    bent,
    query,
    credential,
    fc.array(header, { maxLength: 4 }),
    mostly(fc.constant<Mood>('well'), pick(...MOODS), 6),
    fc.nat({ max: 999 }),
    parametersBody,
    form,
  )
  .chain(([plain, bend, search, who, headers, mood, chance, parameters, fields]) => {
    const isToken = plain.startsWith('/auth/token')
    const client = GOOD.find((one) => goodName(one) === who.name)?.client ?? 'full'
    const path = bend(plain.replace('{own}', `{job ${client} open complete}`))
    const isExport = plain.endsWith('$export')
    const usual = isToken
      ? (['POST'] as const)
      : isExport
        ? (['GET', 'POST'] as const)
        : plain.includes('/jobs/')
          ? (['GET', 'GET', 'HEAD', 'DELETE'] as const)
          : (['GET'] as const)
    const method = mostly(
      pick<string>(...usual),
      pick('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'propfind'),
      7,
    )
    const isHuge = isExport && chance === 0
    return fc
      .record({ method, huge: isHuge ? hugeBody : fc.constant(undefined) })
      .map(({ method: name, huge: large }): FuzzRequest => {
        const hasBody = name !== 'GET' && name !== 'HEAD'
        const typed = !hasBody || chance % 5 === 1 ? [] : [isToken ? FORM : JSON_TYPE]
        const body = hasBody && chance % 7 !== 1 ? (large ?? (isToken ? fields : parameters)) : undefined
        return {
          method: name,
          path,
          query: isToken && chance % 3 > 0 ? '' : search,
          credential: who,
          headers: [...typed, ...(plain.includes('/files/') ? (CONDITIONS[chance % 8] ?? []) : []), ...headers],
          body,
          mood,
        }
      })
  })
