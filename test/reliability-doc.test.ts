import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { COMMAND, DOCUMENT, section, sectionIn } from './end-to-end/faults/document.ts'
import { TABLE } from './end-to-end/faults/table.ts'

const document = readFileSync(new URL(`../${DOCUMENT}`, import.meta.url).pathname, 'utf8')

it(`${DOCUMENT} promises exactly what the fault tests check`, () => {
  expect(sectionIn(document) === section(), `${DOCUMENT} and the table differ: run ${COMMAND}`).toBe(true)
})

it('names each row of the table once in its phase', () => {
  for (const rows of Object.values(TABLE)) {
    const names = rows.map(({ vendor }) => vendor)
    expect(names).toEqual([...new Set(names)])
  }
})
