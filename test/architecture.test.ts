import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { adapters } from '../adapters/index.ts'
import { COMPATIBILITY_DATE, COMPATIBILITY_FLAGS } from '../sandbox/compatibility.ts'
import { VERSION, VERSION_DATE } from '../src/version.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
const filesUnder = (directory: string): string[] =>
  readdirSync(join(ROOT, directory), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${directory}/${name}`)

/** Project-relative paths of what a file imports, packages left out. */
const importsOf = (file: string): string[] =>
  [...read(file).matchAll(/(?:from|import)\s*\(?'(\.[^']+)'/g)].map((match) => normalize(join(dirname(file), match[1] ?? '')))

/** Layers from the outside in; a file may import its own layer and those after it. */
const LAYERS: readonly (readonly string[])[] = [
  ['src/index.ts', 'src/app.ts'],
  ['src/routes/'],
  ['src/job/'],
  ['src/source/', 'src/client/', 'src/auth/'],
  ['src/env.ts', 'src/config.ts', 'src/config-parse.ts', 'src/config-schema.ts', 'src/log.ts', 'src/version.ts'],
  ['src/vendor/'],
  ['src/rows/'],
  ['src/fhir/'],
  ['src/errors.ts', 'src/node.d.ts'],
]
/** Bindings are typed by the classes behind them; the objects call each other through those types. */
const TYPE_ONLY = new Set(['src/env.ts'])

const layerOf = (file: string): number => LAYERS.findIndex((prefixes) => prefixes.some((prefix) => file.startsWith(prefix)))

describe('the structure that everything stands on', () => {
  const sources = filesUnder('src')

  it.each(sources)('%s belongs to a layer and imports only inwards', (file) => {
    expect(layerOf(file)).not.toBe(-1)
    if (TYPE_ONLY.has(file)) {
      expect(read(file)).not.toMatch(/^import (?!type )/m)
      return
    }
    const outward = importsOf(file).filter((imported) => imported.startsWith('src/') && layerOf(imported) < layerOf(file))
    expect(outward).toEqual([])
  })

  it.each(sources)('%s names no vendor', (file) => {
    for (const id of adapters.keys()) if (id !== 'generic') expect(read(file)).not.toMatch(new RegExp(`['"\`/]${id}['"\`/.]`))
  })

  it('only the configuration imports adapters', () => {
    expect(sources.filter((file) => importsOf(file).some((imported) => imported.startsWith('adapters/')))).toEqual([
      'src/config.ts',
    ])
  })

  it('the Worker never imports the sandbox, tests or benchmarks', () => {
    for (const file of [...sources, ...filesUnder('adapters')]) {
      expect(importsOf(file).filter((imported) => /^(sandbox|test|bench)\//.test(imported))).toEqual([])
    }
  })

  it('the specification uses no API of Workers or Node', () => {
    for (const file of filesUnder('src/fhir')) {
      const text = read(file)
      expect(text).not.toMatch(/from '(node:|cloudflare:|hono|jose|zod)/)
      expect(text).not.toMatch(/\b(fetch|crypto|caches|process|setTimeout)\b[.(]/)
    }
  })

  it('fetch is called in one place', () => {
    const callers = sources.filter((file) => /(?<![\w.#])fetch\(/.test(read(file)))
    expect(callers).toEqual(['src/vendor/trusted-fetch.ts'])
  })

  it('OperationOutcomes are built in one place', () => {
    const builders = sources.filter((file) => /resourceType: 'OperationOutcome'/.test(read(file)))
    expect(builders).toEqual(['src/fhir/operation-outcome.ts'])
  })

  it('helpers of Durable Objects cannot be called over RPC', () => {
    for (const file of sources.filter((path) => /extends DurableObject/.test(read(path))))
      expect(read(file)).not.toMatch(/^ {2}(private|protected) /m)
  })

  it('an adapter is one short file that imports the contract and nothing else', () => {
    for (const file of filesUnder('adapters').filter((path) => !path.endsWith('index.ts'))) {
      expect(importsOf(file)).toEqual(['src/vendor/adapter.ts'])
      expect(read(file).split('\n').length).toBeLessThan(61)
    }
  })

  it.each([...sources, ...filesUnder('sandbox')])('%s has at most 250 lines', (file) => {
    expect(read(file).split('\n').length).toBeLessThanOrEqual(LONGEST[file] ?? 250)
  })

  it('every file of the adapters folder is registered', () => {
    const names = filesUnder('adapters').map((file) => relative('adapters', file).replace('.ts', ''))
    expect(names.filter((name) => name !== 'index').toSorted()).toEqual([...adapters.keys()].toSorted())
  })
})

/** One exhaustive table of states and events reads better whole. */
const LONGEST: Readonly<Record<string, number>> = { 'src/job/transitions.ts': 300 }

describe('what is written down twice', () => {
  it('agrees on the version', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string }
    expect(VERSION).toBe(version)
    expect(read('CHANGELOG.md')).toContain(`## ${VERSION} – ${VERSION_DATE}`)
  })

  it('agrees on the compatibility date and its flags', () => {
    expect(read('wrangler.toml')).toContain(`compatibility_date = "${COMPATIBILITY_DATE}"`)
    expect(read('wrangler.toml')).toContain(`compatibility_flags = ${JSON.stringify(COMPATIBILITY_FLAGS)}`)
  })
})
