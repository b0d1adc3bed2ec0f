import { writeFileSync } from 'node:fs'
import { masked } from './exchange.ts'
import { readOptions, USAGE, UsageError } from './options.ts'
import { jsonReport, markdownReport, textReport } from './report.ts'
import { exitCodeOf, runSuite } from './suite.ts'

/* Holds a FHIR server against Bulk Data 3.0.0, from outside. */
try {
  const { settings, only, report } = await readOptions(process.argv.slice(2))
  const results = await runSuite(settings, only)
  process.stdout.write(textReport(results))
  if (report !== undefined)
    writeFileSync(report, (report.endsWith('.json') ? jsonReport : markdownReport)(settings.base, results))
  process.exitCode = exitCodeOf(results)
} catch (error) {
  const isUsage = error instanceof UsageError
  process.stderr.write(
    isUsage ? `${error.message}\n\n${USAGE}\n` : `${masked(error instanceof Error ? error.message : String(error))}\n`,
  )
  process.exitCode = isUsage ? 2 : 1
}
