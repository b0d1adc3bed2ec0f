import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const read = (path: string): string => readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), 'utf8')
const exists = (path: string): boolean => existsSync(fileURLToPath(new URL(`../${path}`, import.meta.url)))

const document = read('docs/security.md')
/** A file, and the titles behind it. */
const proofs = [...document.matchAll(/`(test\/[\w./-]+\.test\.ts)`((?:[\s,]*“[^”]+”)+)/g)].flatMap(([, file = '', titles = '']) =>
  [...titles.matchAll(/“([^”]+)”/g)].map(([, title = '']) => [file, title.replaceAll(/\s+/g, ' ')] as const),
)

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)

/** Whether a test of that title is in a file, and is run. */
const hasTest = (file: string, title: string): boolean =>
  new RegExp(`(?<!\\.(?:skip|todo|skipIf))\\(\\s*(['"\`])${escaped(title)}\\1,`).test(read(file).replaceAll(/\\(['"`])/g, '$1'))

describe('docs/security.md', () => {
  it.each(proofs)('%s proves: %s', (file, title) => {
    expect(exists(file), `${file} is not there`).toBe(true)
    expect(hasTest(file, title), 'no test of this title is run there').toBe(true)
  })

  it('names a test for every threat', () => {
    const threats = document.split(/^### /m).slice(1)
    expect(threats.length).toBeGreaterThan(20)
    for (const threat of threats) expect(threat).toMatch(/^- `test\/[^`]+\.test\.ts` “/m)
  })

  it('quotes nothing that is not read as a proof', () => {
    expect(proofs.length).toBe([...document.matchAll(/“/g)].length)
  })
})

interface Lock {
  readonly packages: Readonly<Record<string, { readonly integrity?: string; readonly link?: boolean }>>
}

it('every dependency is of one exact version, and every package that is installed has a digest', () => {
  const manifest = JSON.parse(read('package.json')) as Record<'dependencies' | 'devDependencies', Record<string, string>>
  for (const version of Object.values({ ...manifest.dependencies, ...manifest.devDependencies }))
    expect(version).toMatch(/^\d+\.\d+\.\d+(?:-[\w.]+)?$/)
  const { packages } = JSON.parse(read('package-lock.json')) as Lock
  const installed = Object.entries(packages).filter(([path]) => path !== '')
  expect(installed.length).toBeGreaterThan(50)
  expect(installed.filter(([, { integrity }]) => integrity?.startsWith('sha512-') !== true).map(([path]) => path)).toEqual([])
})
