import type { Issue } from '../../fhir/operation-outcome.ts'
import type { OrganizeRows } from './organize-rows.ts'

const resources = (count: number): string => (count === 1 ? '1 resource' : `${count} resources`)

/** What a client is to be told of its organized output, in `error`: what is in no block [FI-13], and whether blocks are missing. */
export const organizeIssues = (rows: OrganizeRows): Issue[] => {
  const { phase, unrelated, malformed, oversized } = rows.state()
  const issues: Issue[] = []
  const tell = (severity: Issue['severity'], code: string, diagnostics: string): void => {
    issues.push({ severity, code, diagnostics })
  }
  if (phase !== 'done')
    tell(
      'error',
      'incomplete',
      "Organizing the output took longer than the source's deadline allows: blocks are missing. Export again, for fewer types or patients, or without organizeOutputBy.",
    )
  if (unrelated > 0)
    tell(
      'information',
      'informational',
      `${resources(unrelated)} that belong to no patient are not in organized output. Export without organizeOutputBy to have them.`,
    )
  if (malformed > 0)
    tell(
      'error',
      'incomplete',
      `${malformed} lines of the source are no resources and not in organized output. Export without organizeOutputBy to see them.`,
    )
  if (oversized > 0)
    tell(
      'error',
      'incomplete',
      `${resources(oversized)} that are too large to be organized, or too large to be repeated for each of their patients, are not in the output. Export without organizeOutputBy to have them.`,
    )
  return issues
}
