import { ExportError } from '../errors.ts'
import { baseOf, headersFor, trustPolicyOf } from '../vendor/requests.ts'
import type { Source } from '../vendor/source.ts'
import { trustedFetch } from '../vendor/trusted-fetch.ts'

/** A vendor that takes longer to say what it can do is not ready for an export. */
const PROBE_DEADLINE_MS = 20_000

/**
 * Whether a source's server is there. It is asked for its CapabilityStatement, which changes nothing, takes no token, and may be asked
 * again; a kick-off that got lost could not. Any answer will do that is not a failure of the server's.
 */
export const isReachable = async (source: Source, sandbox: boolean): Promise<boolean> => {
  const url = `${baseOf(source)}/metadata`
  const request = { method: 'GET', url, headers: headersFor(source, 'group'), deadlineMs: PROBE_DEADLINE_MS } as const
  try {
    const response = await trustedFetch(request, trustPolicyOf(source, sandbox))
    await response.body?.cancel()
    return response.status < 500
  } catch (error) {
    if (!(error instanceof ExportError)) throw error
    // A redirect that is not followed is an answer too.
    return error.code !== 'vendor_unreachable'
  }
}
