import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const ROOT = `${import.meta.dirname}/../`
const textOf = (path: string): string => readFileSync(`${ROOT}${path}`, 'utf8')
const sources = readdirSync(`${ROOT}src`, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => `src/${name}`)

/* What keeps the Worker small and quick to start; docs/decisions/0018 has the figures. */
describe('a Worker that starts', () => {
  it('makes no schema before one is needed', () => {
    expect(sources.filter((file) => /^(export )?const \w+ =\s+z\b/m.test(textOf(file)))).toEqual([])
  })

  it('brings one router along, and routes when the first request comes', () => {
    const imports = sources.filter((file) => /^import (?!type ).* from 'hono(\/(tiny|quick))?'/m.test(textOf(file)))
    expect(imports).toEqual([])
    expect(sources.filter((file) => /from 'hono\/router\//.test(textOf(file)))).toEqual(['src/routes/router.ts'])
  })

  it('keeps no names of functions', () => {
    expect(textOf('wrangler.toml')).toMatch(/^minify = true\n(#.*\n)?keep_names = false$/m)
  })
})
