import type { Env } from '../env.ts'
import { ExportError } from '../errors.ts'
import { configOf } from '../config.ts'
import { VendorClient, type TokenSource } from '../vendor/client.ts'
import { CREDENTIAL_REFUSED } from '../vendor/credentials.ts'
import type { Source } from '../vendor/source.ts'
import type { GateToken, SourceGate } from './source-gate.ts'

/** The gate of a source. */
export const gateOf = (env: Env, source: Source): DurableObjectStub<SourceGate> =>
  env.GATES.get(env.GATES.idFromName(source.gate))

/** A client of the source's server, with its gate's token. */
export const vendorClientOf = (env: Env, source: Source): VendorClient => {
  const { sandbox, publicBase } = configOf(env).settings
  return new VendorClient(source, new GateTokens(env, source), sandbox, publicBase)
}

/** The vendor's token as its gate has it, remembered for as long as the gate would give the same. */
export class GateTokens implements TokenSource {
  readonly #env: Env
  readonly #source: Source
  #known: { readonly token: string; readonly untilMs: number } | undefined

  constructor(env: Env, source: Source) {
    this.#env = env
    this.#source = source
  }

  async token(): Promise<string> {
    if (this.#known && this.#known.untilMs > Date.now()) return this.#known.token
    return this.#take(await this.#asked((gate) => gate.token(this.#source.id)))
  }

  async renew(stale: string): Promise<string> {
    return this.#take(await this.#asked((gate) => gate.renew(this.#source.id, stale)))
  }

  /** A gate that was reset while it was asked is no word of the vendor's, and nothing was sent to it. */
  async #asked(ask: (gate: DurableObjectStub<SourceGate>) => Promise<GateToken>): Promise<GateToken> {
    try {
      // Anew each time: what holds an object breaks with it.
      return await ask(gateOf(this.#env, this.#source))
    } catch (cause) {
      throw new ExportError('vendor_unreachable', "The source's token could not be had now. Try again.", { cause })
    }
  }

  #take(answer: GateToken): string {
    switch (answer.kind) {
      case 'token':
        this.#known = { token: answer.token, untilMs: answer.expiresMs }
        return answer.token
      case 'refused':
        throw new ExportError('vendor_refused_credential', CREDENTIAL_REFUSED)
      case 'misconfigured':
        throw new ExportError('config_invalid', answer.diagnostics)
      case 'unavailable':
        throw new ExportError(
          'vendor_unreachable',
          "The source's token endpoint could not be reached. Try again later.",
          answer.retryAfterMs === undefined ? {} : { retryAfterSeconds: Math.ceil(answer.retryAfterMs / 1000) },
        )
    }
  }
}
