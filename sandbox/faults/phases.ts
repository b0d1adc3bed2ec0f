import type { Phase } from '../faults.ts'

/** By which paths a vendor's phases are known. */
export interface PhaseRoutes {
  readonly kickoff: RegExp
  /** GET: status, DELETE: cancel. */
  readonly job: RegExp
  /** Omitted: its files are elsewhere. */
  readonly file?: RegExp
  /** Where tokens come from, besides the token endpoint. */
  readonly token?: RegExp
}

/** What a request is for. Whether it is allowed or makes sense is not asked. */
export const phaseOf = (method: string, path: string, routes: PhaseRoutes, tokenPath: string): Phase | undefined => {
  if (path === tokenPath || routes.token?.test(path) === true) return method === 'POST' ? 'token' : undefined
  if (routes.kickoff.test(path)) return 'kickoff'
  if (routes.job.test(path)) return method === 'DELETE' ? 'cancel' : 'status'
  return routes.file?.test(path) === true ? 'file' : undefined
}
