import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { DOCUMENT } from './conformance/document.ts'
import { KNOWN_REASONS } from './conformance/known-reasons.ts'
import { REQUIREMENTS } from './conformance/requirements.ts'

const document = readFileSync(DOCUMENT, 'utf8')
const rows = new Map(
  document.split('\n').flatMap((line) => (line.startsWith('| ') ? [[line.split('|')[1]?.trim() ?? '', line]] : [])),
)

it(`${DOCUMENT} has a row for every requirement, with its title`, () => {
  for (const { id, title } of REQUIREMENTS) expect(rows.get(id)?.replaceAll('\\', '')).toContain(title)
})

it(`${DOCUMENT} has no FAIL and no warning without its written reason`, () => {
  for (const { id } of REQUIREMENTS) {
    const row = rows.get(id) ?? ''
    expect(row).not.toContain('FAIL')
    if (!/\| warning +\|/.test(row)) continue
    for (const reason of Object.values(KNOWN_REASONS[id] ?? { none: 'a written reason' })) expect(row).toContain(reason)
  }
})
