/** What must not leave by any door that is not meant for it. */
export type CanaryKind =
  | 'patient name'
  | 'patient id'
  | 'patient identifier'
  | 'patient address'
  | 'group id'
  | 'vendor address'
  | 'vendor token'
  | 'vendor secret'
  | 'vendor key'
  | 'vendor assertion'
  | 'presigned signature'
  | 'signing key'
  | 'client key'
  | 'client token'
  | 'client assertion'
  | 'operator token'
  | 'job id'

/** Where something leaves, and in what. */
export type Door =
  | 'log'
  /** Headers of any answer to a client. */
  | 'answer header'
  /** Bodies of ours: statuses, manifests, lists, errors. */
  | 'answer'
  | 'token answer'
  /** Vendors' resources: an output file, a group that was read. */
  | 'file'
  | 'group answer'
  /** Requests to a vendor: to its API, where its tokens come from, and to where its files lie on another origin. */
  | 'vendor API'
  | 'vendor token endpoint'
  | 'vendor store'
  | 'third host'

/** One planted value. `owners`: the vendors, stores and clients that it belongs to. */
export interface Canary {
  readonly kind: CanaryKind
  readonly value: string
  readonly owners: ReadonlySet<string>
}

/** Text that left by a door. */
export interface Passage {
  readonly door: Door
  /** Who got it; empty where that makes no difference. */
  readonly party: string
  readonly text: string
  /** Where to look for the leak, without a value in it. */
  readonly where: string
}

type Rule = 'anyone' | 'owner'
type Rules = Readonly<Partial<Record<CanaryKind, Rule>>>

/** What passes with a vendor's own resources: patients, and not where the vendor is, since references and attachments are ours. */
const RESOURCES: Rules = {
  'patient name': 'anyone',
  'patient id': 'anyone',
  'patient identifier': 'anyone',
  'patient address': 'anyone',
  'group id': 'anyone',
  'job id': 'owner',
}

/** The doors that are meant for something, and for what; everything else is a leak. */
const MEANT_FOR: Readonly<Record<Door, Rules>> = {
  log: { 'job id': 'anyone' },
  'answer header': { 'job id': 'owner' },
  // A manifest repeats its kick-off request, which names the group.
  answer: { 'group id': 'anyone', 'job id': 'owner' },
  'token answer': { 'client token': 'anyone' },
  file: RESOURCES,
  'group answer': RESOURCES,
  // A client may restrict an export to patients that it names.
  'vendor API': {
    'vendor address': 'owner',
    'vendor token': 'owner',
    'presigned signature': 'owner',
    'group id': 'anyone',
    'patient id': 'anyone',
  },
  'vendor token endpoint': { 'vendor address': 'owner', 'vendor secret': 'owner', 'vendor assertion': 'owner' },
  'vendor store': { 'vendor address': 'owner', 'presigned signature': 'owner' },
  'third host': {},
}

const KEY_CHARACTERS = 8
/** Random enough to be nobody else's; whoever sees twice as much of a secret sees one of these whole. */
const PIECE_CHARACTERS = 16
/** What no part of is a secret. */
const WHOLE: ReadonlySet<CanaryKind> = new Set<CanaryKind>([
  'patient name',
  'patient id',
  'patient identifier',
  'patient address',
  'group id',
  'vendor address',
  'job id',
])

/** Eight characters to sixteen bits, cheap enough for every place of a long text. */
const hashAt = (text: string, at: number): number =>
  (text.charCodeAt(at) + text.charCodeAt(at + 3) * 31 + text.charCodeAt(at + 7) * 961) & 0xffff

/** The planted values of one stack, found anywhere in a text, within longer words too. */
export class Canaries {
  readonly #byKey = new Map<string, (Canary & { readonly owners: Set<string> })[]>()
  readonly #begins = new Uint8Array(0x10000)
  readonly kinds = new Set<CanaryKind>()

  /**
   * Values shorter than eight characters are left out: they would be found where nobody put them. Of a longer secret a part of it is
   * found, too.
   */
  plant(kind: CanaryKind, value: string, ...owners: readonly string[]): void {
    if (value.length < KEY_CHARACTERS) return
    this.#plant(kind, value, owners)
    if (WHOLE.has(kind)) return
    for (let at = 0; at + PIECE_CHARACTERS <= value.length; at += PIECE_CHARACTERS)
      this.#plant(kind, value.slice(at, at + PIECE_CHARACTERS), owners)
  }

  #plant(kind: CanaryKind, value: string, owners: readonly string[]): void {
    const key = value.slice(0, KEY_CHARACTERS)
    const alike = this.#byKey.get(key) ?? []
    const known = alike.find((canary) => canary.kind === kind && canary.value === value)
    if (known !== undefined) {
      for (const owner of owners) known.owners.add(owner)
      return
    }
    alike.push({ kind, value, owners: new Set(owners) })
    this.#byKey.set(key, alike)
    this.#begins[hashAt(value, 0)] = 1
    this.kinds.add(kind)
  }

  has(kind: CanaryKind, value: string): boolean {
    return this.#byKey.get(value.slice(0, KEY_CHARACTERS))?.some((one) => one.kind === kind && one.value === value) ?? false
  }

  find(text: string): Set<Canary> {
    const found = new Set<Canary>()
    for (let at = 0; at + KEY_CHARACTERS <= text.length; at += 1) {
      if (this.#begins[hashAt(text, at)] === 0) continue
      const alike = this.#byKey.get(text.slice(at, at + KEY_CHARACTERS))
      for (const canary of alike ?? []) if (text.startsWith(canary.value, at)) found.add(canary)
    }
    return found
  }
}

const isMeant = ({ kind, owners }: Canary, { door, party }: Passage): boolean => {
  const rule = MEANT_FOR[door][kind]
  return rule === 'anyone' || (rule === 'owner' && owners.has(party))
}

/** A text as it stands, and as it reads once its percent-encoding is undone. */
const readings = (text: string): string[] => {
  const decoded = text.replaceAll(/(?:%[0-9a-f]{2})+/gi, (encoded) => {
    try {
      return decodeURIComponent(encoded)
    } catch {
      return encoded
    }
  })
  return decoded === text ? [text] : [text, decoded]
}

/** What left by a door that is not meant for it: kind, door, place and how often. Never the value, since this is printed. */
export const leaksIn = (passages: Iterable<Passage>, canaries: Canaries): string[] => {
  const counts = new Map<string, number>()
  for (const passage of passages) {
    const found = readings(passage.text).flatMap((text) => [...canaries.find(text)])
    const place = `${passage.door}${passage.party === '' ? '' : ` of ${passage.party}`} (${passage.where})`
    const leaks = new Set(found.filter((canary) => !isMeant(canary, passage)).map(({ kind }) => `${kind} in ${place}`))
    for (const leak of leaks) counts.set(leak, (counts.get(leak) ?? 0) + 1)
  }
  return [...counts].map(([leak, count]) => (count === 1 ? leak : `${leak}, ${count} times`))
}
