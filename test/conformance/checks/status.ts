import { jsonOf, type Exchange } from '../exchange.ts'
import { statusUrlOf } from '../exports.ts'
import {
  FHIR_JSON,
  isHttpDate,
  isJson,
  isOutcome,
  isRefusal,
  mediaTypeOf,
  objects,
  retryAfterMs,
  textOf,
  type Json,
} from '../fhir.ts'
import { fetchFile, filesIn } from '../files.ts'
import type { Check } from './check.ts'

const TRANSIENT = ['transient', 'timeout', 'throttled', 'exception', 'lock-error', 'no-store', 'incomplete']
const MAX_PROGRESS_CHARS = 100

const polls: Check = {
  ids: ['ST-01', 'ST-02', 'ST-03', 'ST-05', 'ST-06', 'ST-07', 'ST-08', 'ST-10', 'ST-11', 'ST-12', 'ST-18'],
  run: async ({ exports, find }) => {
    const run = await exports.run()
    for (const [index, poll] of run.polls.entries()) {
      const { status, headers } = poll
      find.shall('ST-18', status < 300 || status >= 400, `a status request is redirected with ${status}`, poll)
      find.shall(
        'ST-10',
        headers['x-export-status'] === undefined,
        'X-Export-Status is there without having been asked for',
        poll,
      )
      if (status === 202) {
        find.shall('ST-01', true, '')
        const progress = headers['x-progress']
        if (progress === undefined) find.skip('ST-02', 'the server tells no progress')
        else find.shall('ST-02', progress.length < MAX_PROGRESS_CHARS, `X-Progress has ${progress.length} characters`, poll)
        const wait = retryAfterMs(headers['retry-after'])
        if (headers['retry-after'] === undefined) find.should('ST-03', false, 'there is no Retry-After', poll)
        else
          find.should(
            'ST-03',
            wait !== undefined,
            `Retry-After ${headers['retry-after']} is no number of seconds and no HTTP-date`,
            poll,
          )
      }
      if (isRefusal(poll) && status !== 429) {
        const isLast = index === run.polls.length - 1
        find.shall('ST-05', true, '')
        if (isOutcome(poll))
          find.shall('ST-06', mediaTypeOf(poll) === FHIR_JSON, `an OperationOutcome is ${mediaTypeOf(poll)}`, poll)
        find.should('ST-07', isOutcome(poll), 'a failed status request has no OperationOutcome', poll)
        if (!isLast)
          find.should(
            'ST-08',
            TRANSIENT.includes(codeOf(poll)),
            `a request failed for a moment with the code ${codeOf(poll)}`,
            poll,
          )
      }
    }
    if (run.overstated !== undefined) {
      const seconds = run.overstated.headers['retry-after'] ?? ''
      find.should('ST-03', false, `Retry-After ${seconds} is far longer than the export took; is it seconds?`, run.overstated)
    }
    if (run.statusUrl === undefined) return
    const last = run.polls.at(-1)
    find.shall('ST-11', run.manifest !== undefined, `the export ends with ${last?.status ?? 'no answer'} and no manifest`, last)
    if (run.manifest === undefined || last === undefined) return
    find.shall('ST-11', mediaTypeOf(last) === 'application/json', `the manifest comes as ${mediaTypeOf(last)}`, last)
    const isAhead = isHttpDate(last.headers['expires']) && Date.parse(last.headers['expires'] ?? '') > Date.now()
    find.should('ST-12', isAhead, 'Expires is missing, no HTTP-date, or past', last)
  },
}

const codeOf = (exchange: Exchange): string => {
  const outcome = jsonOf(exchange)
  return isJson(outcome) ? textOf(objects(outcome['issue'])[0]?.['code']) : ''
}

const again: Check = {
  ids: ['ST-14', 'ST-16', 'ST-17'],
  run: async ({ exports, find }) => {
    const run = await exports.complete()
    const statusUrl = run.statusUrl ?? ''
    for (const accept of ['application/json', FHIR_JSON]) {
      const answer = await exports.poll(statusUrl, accept)
      find.shall('ST-17', answer.status !== 406, `Accept: ${accept} is refused`, answer)
      if (accept !== 'application/json') continue
      const isThere = answer.status === 200
      if (!isThere) {
        find.skip('ST-16', 'the manifest cannot be fetched again')
        continue
      }
      find.shall('ST-16', true, '')
      const manifest = jsonOf(answer)
      find.shall('ST-14', isJson(manifest) && frozen(manifest) === frozen(run.manifest), 'the manifest has changed', answer)
    }
    const file = filesIn(run, 'output').find(({ exchange }) => exchange.status === 200 && !exchange.isCut)
    if (file === undefined) return
    const second = await fetchFile(exports.server, file.url, run.manifest['requiresAccessToken'] !== false)
    // A URL that is signed anew at each request may have ended.
    if (second.status === 200) find.shall('ST-14', second.body.equals(file.exchange.body), 'a file has changed', second)
  },
}

/** A manifest without what may change: signatures of URLs, and further pages. */
const frozen = (manifest: Json): string =>
  JSON.stringify({ ...manifest, link: undefined }, (name, value: unknown) =>
    name === 'url' && typeof value === 'string' ? value.split('?')[0] : value,
  )

const separate: Check = {
  ids: ['KO-10', 'ST-10'],
  run: async ({ exports, find }) => {
    const run = await exports.run({ params: [['_type', 'Patient']], prefer: 'respond-async, separate-export-status' })
    const applied = (run.kickoff.headers['preference-applied'] ?? '').split(/[,\s]+/)
    const isHonoured = applied.includes('separate-export-status')
    const shown = run.polls.filter(({ headers }) => headers['x-export-status'] !== undefined)
    if (!isHonoured) {
      find.shall('KO-10', shown.length === 0, 'X-Export-Status comes without Preference-Applied', shown[0], 'not offered')
      return
    }
    find.shall('KO-10', applied.includes('respond-async'), 'Preference-Applied does not name respond-async', run.kickoff)
    for (const poll of run.polls.filter(({ status }) => status === 200)) {
      const told = poll.headers['x-export-status'] ?? ''
      find.shall('ST-10', /^(202|200|[45]\d\d)\b/.test(told), `a 200 has X-Export-Status ${told || 'missing'}`, poll)
    }
    const misplaced = run.polls.find(({ status }) => status === 202)
    find.shall('ST-10', misplaced === undefined, 'a status request is 202 though separate-export-status was honoured', misplaced)
  },
}

const overPolling: Check = {
  ids: ['ST-04'],
  run: async ({ server, exports, find }) => {
    const observed = (await exports.run()).polls.filter(({ status }) => status === 429)
    const { overPoll } = server.settings
    if (overPoll > 0) {
      const statusUrl = statusUrlOf(await exports.kickoff({ params: [['_type', 'Patient']], purpose: 'asked too often' }))
      if (statusUrl === undefined) return
      const answers = await Promise.all(Array.from({ length: overPoll }, () => exports.poll(statusUrl)))
      observed.push(...answers.filter(({ status }) => status === 429))
      find.should('ST-04', observed.length > 0, `${overPoll} status requests at once are all answered`, answers.at(-1))
      await exports.delete(statusUrl)
    }
    for (const poll of observed) {
      const isTold = retryAfterMs(poll.headers['retry-after']) !== undefined
      find.should('ST-04', isTold, 'a status request is answered with 429 and no Retry-After', poll)
    }
  },
}

export const statusChecks: readonly Check[] = [polls, again, separate, overPolling]
