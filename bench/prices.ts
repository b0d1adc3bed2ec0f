/**
 * List prices of Workers Paid, in US dollars, without taxes, contracts and free plans.
 *
 * @see https://developers.cloudflare.com/workers/platform/pricing/
 * @see https://developers.cloudflare.com/durable-objects/platform/pricing/
 * @see https://developers.cloudflare.com/r2/pricing/
 */
export const PRICES_OF = '2026-08'

export interface Price {
  readonly what: string
  readonly unit: string
  /** In a month, before anything is charged for. */
  readonly included: number
  readonly dollarsPerMillion: number
  /** What is beyond it is rounded up to a whole number of these. Omitted: it is billed as it is. */
  readonly roundedTo?: number
}

export const SUBSCRIPTION_DOLLARS = 5

/** What is billed by use. */
export const PRICES = {
  workerRequests: { what: 'Worker requests', unit: 'requests', included: 10e6, dollarsPerMillion: 0.3 },
  processorMs: { what: 'processor time', unit: 'ms', included: 30e6, dollarsPerMillion: 0.02 },
  objectRequests: { what: 'Durable Object requests', unit: 'requests', included: 1e6, dollarsPerMillion: 0.15 },
  objectGigabyteSeconds: { what: 'Durable Object duration', unit: 'GB-s', included: 400e3, dollarsPerMillion: 12.5 },
  rowsRead: { what: 'rows read', unit: 'rows', included: 25e9, dollarsPerMillion: 0.001 },
  rowsWritten: { what: 'rows written', unit: 'rows', included: 50e6, dollarsPerMillion: 1 },
  classA: { what: 'R2 class A operations', unit: 'operations', included: 1e6, dollarsPerMillion: 4.5, roundedTo: 1e6 },
  classB: { what: 'R2 class B operations', unit: 'operations', included: 10e6, dollarsPerMillion: 0.36, roundedTo: 1e6 },
  objectGigabyteMonths: { what: 'Durable Object storage', unit: 'GB-months', included: 5, dollarsPerMillion: 0.2e6 },
  storedGigabyteMonths: { what: 'R2 storage', unit: 'GB-months', included: 10, dollarsPerMillion: 0.015e6, roundedTo: 1 },
} as const satisfies Record<string, Price>

export type Metered = keyof typeof PRICES
export type Usage = Readonly<Record<Metered, number>>

export const METERED = Object.keys(PRICES) as readonly Metered[]

/** Memory that an object is billed for, whatever it takes. */
export const OBJECT_GIGABYTES = 0.128

/** What a month of so much use costs, item by item. */
export const dollarsOf = (usage: Usage): Readonly<Record<Metered, number>> =>
  Object.fromEntries(
    METERED.map((name) => {
      const { included, dollarsPerMillion, roundedTo }: Price = PRICES[name]
      const beyond = Math.max(0, usage[name] - included)
      const billed = roundedTo === undefined ? beyond : Math.ceil(beyond / roundedTo) * roundedTo
      return [name, (billed / 1e6) * dollarsPerMillion]
    }),
  ) as Record<Metered, number>

export const monthlyDollars = (usage: Usage): number =>
  Object.values(dollarsOf(usage)).reduce((sum, dollars) => sum + dollars, SUBSCRIPTION_DOLLARS)

/** Every item of one, so many times, added to another. */
export const plus = (one: Usage, other: Usage, times = 1): Usage =>
  Object.fromEntries(METERED.map((name) => [name, one[name] + times * other[name]])) as Record<Metered, number>

export const NOTHING = Object.fromEntries(METERED.map((name) => [name, 0])) as Usage
