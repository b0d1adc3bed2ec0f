import type { Outcome } from './row.ts'

const CONTENTS = {
  dataset: 'complete, with the full content',
  tiny: 'complete, with every file',
  huge: 'complete, with every byte',
} as const

/** What a row promises, in words. */
export const promiseOf = (outcome: Outcome): string => {
  switch (outcome.kind) {
    case 'complete':
      return CONTENTS[outcome.content.kind]
    case 'partial':
      return `complete, with one file in \`error\` ("${outcome.says}") and all else whole`
    case 'emptied':
      return 'complete, without that file, which is taken for empty, and all else whole'
    case 'refused':
      return `the kick-off is answered ${outcome.status} \`${outcome.issue}\` ("${outcome.says}")`
    case 'failed':
      return `fails with ${outcome.status} \`${outcome.issue}\` ("${outcome.says}")`
    case 'deleted':
      return '404 from the DELETE on'
  }
}
