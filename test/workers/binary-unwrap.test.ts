import { describe, expect, it } from 'vitest'
import { looksWrapped, unwrapped } from '../../src/job/binary-unwrap.ts'
import { CutOff, MalformedFile } from '../../src/job/file-errors.ts'
import { bindings, ndjson, storeFile } from './support.ts'

/* A file that a server answers as a FHIR Binary [N-27]. */

const utf8 = new TextEncoder()
const TEXT = ndjson('Patient', 40)
const DATA = btoa(TEXT)

async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size)
}

const read = async (text: string, size = 7): Promise<string> => {
  const decoder = new TextDecoder()
  let found = ''
  for await (const chunk of unwrapped(cut(utf8.encode(text), size))) found += decoder.decode(chunk, { stream: true })
  return found
}

const json = (data: string, before = '', after = ''): string => `{"resourceType":"Binary",${before}"data":"${data}"${after}}`
const xml = (data: string, before = ''): string =>
  `<?xml version="1.0"?>\n<Binary xmlns="http://hl7.org/fhir">${before}<contentType value="application/fhir+ndjson"/><data value="${data}"/></Binary>`

const WELL: readonly [string, string][] = [
  ['on one line', json(DATA)],
  ['indented', JSON.stringify({ resourceType: 'Binary', contentType: 'application/fhir+ndjson', data: DATA }, null, 2)],
  ['with members around it', json(DATA, '"id":"1","meta":{"data":"no","tag":[{"code":"}\\"data"}]},', ',"x":{"y":["}"]}\n')],
  ['with escaped slashes', json(DATA.replaceAll('/', '\\/').replaceAll('+', '\\u002B'))],
  ['with line breaks in it', json(DATA.replaceAll(/.{76}/g, '$&\\r\\n'))],
  ['as XML', xml(DATA)],
  ['as XML with other quotes and line breaks', xml(DATA.replaceAll(/.{76}/g, '$&&#10;')).replaceAll(/="([^"]*)"\/>/g, "='$1'/>")],
  ['as XML with an id', xml(DATA, '<meta><tag><code value="data"/></tag></meta>').replace('<data ', '<data id="a&gt;b" ')],
]

describe('a Binary is unwrapped as it comes, wherever it is cut [N-27]', () => {
  it.each(WELL)('%s', async (_, text) => {
    for (const size of [1, 2, 3, 5, 64, 100_000]) expect(await read(text, size)).toBe(TEXT)
  })

  it('holds nothing back: what came is passed on before the rest has come', async () => {
    const chunks = cut(utf8.encode(json(DATA)), 100)
    const rows = unwrapped(chunks)
    expect((await rows.next()).done).toBe(false)
    expect((await chunks.next()).done).toBe(false)
    await rows.return(undefined)
  })
})

describe('what is no such Binary is refused', () => {
  it.each<[string, string, typeof CutOff | typeof MalformedFile]>([
    ['no data', '{"resourceType":"Binary","id":"1"}', MalformedFile],
    ['data that is no string', '{"resourceType":"Binary","data":{"x":"y"}}', MalformedFile],
    ['no base64', json('a$b='), MalformedFile],
    ['base64 that ends too early', json(DATA.slice(0, -1)), MalformedFile],
    ['base64 behind its end', json('YQ==YQ=='), MalformedFile],
    ['two of them', `${json(DATA)}\n${json(DATA)}`, MalformedFile],
    ['XML without data', '<Binary xmlns="http://hl7.org/fhir"><id value="1"/></Binary>', MalformedFile],
    ['cut off within its data', json(DATA).slice(0, 200), CutOff],
    ['cut off behind its data', json(DATA).slice(0, -1), CutOff],
    ['XML that is cut off', xml(DATA).slice(0, -3), CutOff],
  ])('%s', async (_, text, error) => {
    for (const size of [1, 9, 100_000]) await expect(read(text, size)).rejects.toBeInstanceOf(error)
  })
})

const stored = async (body: string | Uint8Array<ArrayBuffer>, type = 'Patient') => {
  const key = `binary/${crypto.randomUUID()}`
  const file = await storeFile(key, async () => new Response(body), type)
  return { file, text: await (await bindings.FILES.get(key))?.text() }
}
const packed = async (text: string) =>
  new Uint8Array(await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream('gzip'))).arrayBuffer())
const base64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes))

describe('a file', () => {
  it.each(WELL)('in a Binary %s is stored as it is without it', async (_, text) => {
    const { file, text: found } = await stored(text)
    expect(found).toBe(TEXT)
    expect(file).toMatchObject({ lines: 40, type: 'Patient' })
  })

  it('in a Binary whose data come before its type, or that holds gzip, or lies in gzip, is stored as it is without them', async () => {
    expect((await stored(`{"data":"${DATA}","resourceType":"Binary"}`)).text).toBe(TEXT)
    expect((await stored(json(base64(await packed(TEXT))))).text).toBe(TEXT)
    expect((await stored(await packed(json(DATA)))).text).toBe(TEXT)
  })

  it('of Binary resources stays as it is', async () => {
    const rows = `${json(DATA)}\n${json('YQ==')}\n`
    expect((await stored(rows, 'Binary')).text).toBe(rows)
  })

  it('of another type in a Binary is refused as it is without it', async () => {
    await expect(stored(json(btoa(ndjson('Observation', 2))))).rejects.toThrow(MalformedFile)
  })
})

it('rows are not taken for a wrapper', () => {
  for (const row of ['{"resourceType":"Patient"}', '{"id":"1","text":{"data":"x"}}', '<html>', ''])
    expect(looksWrapped(utf8.encode(row))).toBe(false)
})
