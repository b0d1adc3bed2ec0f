import { rewriteDeletions } from './deletions.ts'
import { rewriteOutcomes } from './outcomes.ts'
import { OutputRows } from './output-rows.ts'
import type { NewRowProgram } from './row-program.ts'
import { SingleRows } from './single-rows.ts'

/** The program for one reading of one file. */
export const newRowProgram: NewRowProgram = (work, file, context) => {
  if (file.kind === 'output') return new OutputRows(work, file, context)
  if (file.kind === 'error') return new SingleRows(rewriteOutcomes(context))
  const otherTypes = new Set<string>()
  return new SingleRows(rewriteDeletions(work, file, context, otherTypes), otherTypes)
}
