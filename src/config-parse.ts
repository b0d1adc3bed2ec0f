import * as z from 'zod/mini'
import { ExportError } from './errors.ts'

/** What is wrong, in words that name keys and choices and never a value. */
const reasonOf = (issue: z.core.$ZodIssue): string => {
  switch (issue.code) {
    case 'unrecognized_keys':
      return `${issue.keys.join(', ')} is not a known key`
    case 'invalid_value':
      return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map(String).join(', ')}`
    case 'invalid_type':
      return `must be ${/^[aeiou]/.test(issue.expected) ? 'an' : 'a'} ${issue.expected}`
    case 'too_small':
      return `must be at least ${String(issue.minimum)}`
    case 'too_big':
      return `must be at most ${String(issue.maximum)}`
    case 'invalid_union':
      return 'has none of the forms that are possible here'
    case 'invalid_key':
      return 'has a key that is not possible here'
    case 'custom':
    case 'invalid_element':
    case 'invalid_format':
    case 'not_multiple_of':
      return issue.message
  }
}

/** Why a variable was refused: `SOURCE_ACME.credential.tokenUrl: must be an absolute https URL`. Values are never repeated. */
export const parsed = <T extends z.ZodMiniType>(schema: T, variable: string, value: unknown): z.output<T> => {
  const result = z.safeParse(schema, typeof value === 'string' ? jsonOf(variable, value) : value)
  if (result.success) return result.data
  const reasons = result.error.issues.map((issue) => `${[variable, ...issue.path.map(String)].join('.')}: ${reasonOf(issue)}`)
  throw new ExportError('config_invalid', reasons.join('; '))
}

/** A `.dev.vars` file and secrets give strings where `wrangler.toml` gives tables. */
const jsonOf = (variable: string, value: string): unknown => {
  try {
    return JSON.parse(value) as unknown
  } catch (cause) {
    throw new ExportError('config_invalid', `${variable}: must be a table, or a string of JSON`, { cause })
  }
}
