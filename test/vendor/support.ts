import { vi } from 'vitest'
import type { KickoffParams } from '../../src/fhir/kickoff-params.ts'
import { defineAdapter, type Adapter, type VendorResponse } from '../../src/vendor/adapter.ts'
import type { Credential, Source } from '../../src/vendor/source.ts'

export const NOW_MS = Date.UTC(2026, 10, 21, 10, 10)
export const BASE = 'https://fhir.example/r4'

/** An adapter that omits everything, with differences. */
export const dialectWith = (differences: Partial<Adapter> = {}): Adapter =>
  defineAdapter({
    id: 'plain',
    title: 'Plain',
    docs: [],
    supports: { levels: { system: 'GET', patient: 'GET', group: 'GET' }, params: [], cancel: true, groups: 'search' },
    auth: { kinds: ['private-key-jwt'] },
    ...differences,
  })

export const CREDENTIAL: Credential = {
  kind: 'client-secret-basic',
  clientId: 'app',
  tokenUrl: 'https://auth.example/token',
  secret: 'ACME_SECRET',
}

export const sourceWith = (dialect: Partial<Adapter> = {}, differences: Partial<Source> = {}): Source => ({
  id: 'acme',
  title: 'Acme',
  dialect: dialectWith(dialect),
  fhirBase: BASE,
  credential: CREDENTIAL,
  retention: 'r2',
  types: ['Patient', 'Observation'],
  groups: {},
  options: {},
  gate: 'acme',
  deleteAfterCollecting: false,
  ...differences,
})

export const paramsWith = (differences: Partial<KickoffParams> = {}): KickoffParams => ({
  type: [],
  elements: [],
  patient: [],
  includeAssociatedData: [],
  typeFilter: [],
  ...differences,
})

export const answer = (status: number, headers: Record<string, string> = {}, body?: unknown): VendorResponse => ({
  status,
  headers,
  body,
})

export const outcome = (code: string): unknown => ({ resourceType: 'OperationOutcome', issue: [{ severity: 'error', code }] })

export interface Call {
  readonly url: string
  readonly method: string
  readonly headers: Headers
  readonly body: string | undefined
}

/** Stands in for the network with one function; what it was asked is kept. */
export const stubFetch = (respond: (call: Call, index: number) => Response | Error): Call[] => {
  const calls: Call[] = []
  vi.stubGlobal('fetch', (url: string, init: RequestInit = {}) => {
    const call: Call = {
      url,
      method: init.method ?? 'GET',
      headers: new Headers(init.headers),
      body: typeof init.body === 'string' ? init.body : undefined,
    }
    calls.push(call)
    const response = respond(call, calls.length - 1)
    return response instanceof Error ? Promise.reject(response) : Promise.resolve(response)
  })
  return calls
}
