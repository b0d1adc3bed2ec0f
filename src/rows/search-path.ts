/** Whether a value is what is looked for. */
export type Test = (value: unknown) => boolean

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Asks for each element of a list, and for nothing that is absent. */
const each =
  (test: Test): Test =>
  (value) => {
    if (Array.isArray(value)) return value.some((element) => element !== null && test(element))
    return value !== undefined && value !== null && test(value)
  }

const STEP = /^(\w+)(?:\[(\w+)=(.*)\]|@(\w+))?(!)?$/

/** What a reference says of the type it is to: its address does, or its `type`. It is not resolved. */
const isReferenceTo = (type: string): Test => {
  const address = new RegExp(`(^|/)${type}/[^/]+(/_history/[^/]+)?$`)
  return (value) =>
    isRecord(value) && (value['type'] === type || (typeof value['reference'] === 'string' && address.test(value['reference'])))
}

const stepBefore = (step: string, next: Test): Test => {
  const [, member = '', key, wanted, type, isCondition] = STEP.exec(step) ?? []
  if (isCondition !== undefined) {
    // There is always a value: `true` for a choice that holds anything but `false`.
    return (value) => isRecord(value) && next(value[`${member}DateTime`] !== undefined || value[`${member}Boolean`] === true)
  }
  let found = next
  if (key !== undefined) found = (value) => isRecord(value) && value[key] === wanted && next(value)
  if (type !== undefined) {
    const isOfType = isReferenceTo(type)
    found = (value) => isOfType(value) && next(value)
  }
  const test = each(found)
  return (value) => isRecord(value) && test(value[member])
}

/**
 * Whether any value at a path passes the test: one closure a step, so that nothing is parsed for a row.
 *
 * @param path In the words of the table: members joined by dots; a URL in brackets may hold dots of its own.
 */
export const anyAt = (path: string, test: Test): Test =>
  (path.match(/(?:[^.[]|\[[^\]]*\])+/g) ?? []).reduceRight((next, step) => stepBefore(step, next), test)
