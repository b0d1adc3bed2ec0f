import type { Reporter, TestModule } from 'vitest/node'

/** Ends a run with one plain line, the same for every reader: `812 passed, 0 failed`. */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const counts = { passed: 0, failed: errors.length, skipped: 0, pending: 0 }
    for (const module of modules) {
      const tests = [...module.children.allTests()]
      for (const test of tests) counts[test.result().state] += 1
      // A file that could not even be loaded has no test that could fail.
      if (!module.ok() && tests.every((test) => test.result().state !== 'failed')) counts.failed += 1
    }
    const skipped = counts.skipped + counts.pending
    process.stdout.write(`${counts.passed} passed, ${counts.failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`)
  }
}
