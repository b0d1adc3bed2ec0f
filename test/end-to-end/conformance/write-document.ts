import { writeFileSync } from 'node:fs'
import { format, resolveConfig } from 'prettier'
import { build } from '../../../sandbox/build.ts'
import { DOCUMENT, documentOf } from '../../conformance/document.ts'
import { handlingsOf } from './handlings.ts'
import { resultsBySource, startSources } from './sources.ts'

/* Writes docs/conformance.md from what the suite says of every source. */
const file = new URL(`../../../${DOCUMENT}`, import.meta.url).pathname
await build()
const sources = await startSources()
try {
  const text = documentOf(await resultsBySource(sources), handlingsOf(sources))
  writeFileSync(file, await format(text, { ...(await resolveConfig(file)), parser: 'markdown' }))
} finally {
  await sources.close()
}
