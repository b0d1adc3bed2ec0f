import { randomUUID } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { exportJWK, generateKeyPair, type JWK } from 'jose'

const STATE_DIRECTORY = fileURLToPath(new URL('../.sandbox', import.meta.url))
const KEYS_FILE = `${STATE_DIRECTORY}/keys.json`

/** Where the facade's log goes while the sandbox runs. */
export const LOG_FILE = `${STATE_DIRECTORY}/facade.log`

/** Private keys of the sandbox: two demo clients' and the facade's own. Made once on this machine, never part of the project. */
export interface SandboxKeys {
  readonly demo: JWK
  readonly other: JWK
  readonly signing: JWK
}

const newKey = async (): Promise<JWK> => {
  const { privateKey } = await generateKeyPair('ES384', { extractable: true })
  return { ...(await exportJWK(privateKey)), kid: randomUUID(), alg: 'ES384' }
}

const isKeys = (value: unknown): value is SandboxKeys =>
  typeof value === 'object' && value !== null && ['demo', 'other', 'signing'].every((name) => Object.hasOwn(value, name))

/** The keys, made at the first call. They outlive a restart so that `npm run token` can sign for a running facade. */
export const sandboxKeys = async (): Promise<SandboxKeys> => {
  await mkdir(STATE_DIRECTORY, { recursive: true })
  try {
    const known: unknown = JSON.parse(await readFile(KEYS_FILE, 'utf8'))
    if (isKeys(known)) return known
  } catch {
    // None yet, or a file cut short by a crash: new ones.
  }
  const keys: SandboxKeys = { demo: await newKey(), other: await newKey(), signing: await newKey() }
  await writeFile(KEYS_FILE, JSON.stringify(keys), { mode: 0o600 })
  return keys
}

export const publicPart = ({ d: _, ...rest }: JWK): JWK => rest
