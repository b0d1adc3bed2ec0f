import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { DOCUMENT, section, sectionIn } from './document.ts'

/** Puts the table of faults into its document, between its markers. */
const path = fileURLToPath(new URL(`../../../${DOCUMENT}`, import.meta.url))
const document = await readFile(path, 'utf8')
const old = sectionIn(document)
if (old === undefined) throw new Error(`${DOCUMENT} has no place for the table of faults`)
await writeFile(
  path,
  document.replace(old, () => section()),
)
