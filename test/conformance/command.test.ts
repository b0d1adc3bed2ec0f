import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { MisbehavingServer } from './misbehaving-server.ts'
import { CLIENT_ID, newKey } from './misbehaving-token.ts'

const COMMAND = 'test/conformance/run.ts'
const TOKEN = 'system/*.rs'

const run = (...options: string[]): Promise<{ code: number | null; output: string; errors: string }> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [COMMAND, ...options], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    let errors = ''
    child.stdout.on('data', (data: Buffer) => (output += data.toString()))
    child.stderr.on('data', (data: Buffer) => (errors += data.toString()))
    child.once('error', reject)
    child.once('exit', (code) => resolve({ code, output, errors }))
  })

let directory: string
let server: MisbehavingServer
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'conformance-'))
  const key = await newKey()
  await writeFile(join(directory, 'key.json'), JSON.stringify(key))
  server = await new MisbehavingServer('CS-09', key).listen()
})
afterAll(async () => {
  await server.close()
  await rm(directory, { recursive: true, force: true })
})

it.each([
  ['nothing', [], /--base/],
  ['an unknown option', ['--nonsense'], /nonsense/],
  ['http without --allow-http', ['--base', 'http://127.0.0.1:1/fhir', '--token', 'x'], /https/],
  ['http to another machine', ['--base', 'http://ehr.example/fhir', '--token', 'x', '--allow-http'], /https/],
  ['no token and no key', ['--base', 'https://ehr.example/fhir'], /--token/],
  ['an id that is no requirement', ['--base', 'https://ehr.example/fhir', '--token', 'x', '--only', 'XX-01'], /XX-01/],
  [
    'a report of another kind',
    ['--base', 'https://ehr.example/fhir', '--token', 'x', '--report', 'report.txt'],
    /\.md or \.json/,
  ],
  ['no seconds', ['--base', 'https://ehr.example/fhir', '--token', 'x', '--timeout', 'long'], /whole number/],
])('exits with 2 and says how it is used, given %s', async (_, options, says) => {
  const { code, errors } = await run(...options)
  expect(code).toBe(2)
  expect(errors).toMatch(says)
  expect(errors).toContain('npm run -s conformance')
})

it('exits with 0 when what was asked for holds, and with 1 and the exchange when it does not', async () => {
  const base = ['--base', server.base, '--token', TOKEN, '--group', 'g1', '--allow-http']
  expect(await run(...base, '--only', 'CS-08')).toMatchObject({ code: 0 })
  const { code, output } = await run(...base, '--only', 'CS-08,CS-09')
  expect(code).toBe(1)
  expect(output).toMatch(/fail +CS-09/)
  expect(output).toContain(`GET ${server.base}/.well-known/smart-configuration`)
  expect(output).toContain('1 pass, 0 warning, 1 fail, 0 not applicable')
})

it('asks for tokens itself with a key, and writes its report as JSON and as Markdown', async () => {
  const base = ['--base', server.base, '--client-id', CLIENT_ID, '--key', join(directory, 'key.json'), '--allow-http']
  const json = join(directory, 'report.json')
  const markdown = join(directory, 'report.md')
  expect((await run(...base, '--only', 'AU-12', '--report', json)).code).toBe(0)
  expect(JSON.parse(await readFile(json, 'utf8'))).toMatchObject({
    base: server.base,
    results: [{ id: 'AU-12', verdict: 'pass' }],
  })
  expect((await run(...base, '--only', 'CS-09', '--report', markdown)).code).toBe(1)
  const text = await readFile(markdown, 'utf8')
  expect(text).toContain('## CS-09')
  expect(text).not.toContain(TOKEN)
})
