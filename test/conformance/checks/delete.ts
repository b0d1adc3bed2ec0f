import { open } from '../exchange.ts'
import { statusUrlOf } from '../exports.ts'
import { FHIR_JSON, isOutcome, isRefusal, mediaTypeOf } from '../fhir.ts'
import { filesIn } from '../files.ts'
import { NotHad } from '../verdict.ts'
import type { Check, Context } from './check.ts'

/** Deletes an export and looks at what is left of it. */
const deleted = async ({ exports, find }: Context, statusUrl: string, when: string): Promise<void> => {
  const answer = await exports.delete(statusUrl)
  find.shall('DL-01', answer.status === 202, `deleting an export that is ${when} is answered with ${answer.status}`, answer)
  const gone = await exports.poll(statusUrl)
  find.shall('DL-02', gone.status === 404, `an export that was deleted while ${when} is ${gone.status}, not 404`, gone)
  if (gone.status === 404) find.shall('DL-02', isOutcome(gone), 'a deleted export is 404 without an OperationOutcome', gone)
  if (isRefusal(gone)) {
    if (isOutcome(gone)) find.shall('ST-06', mediaTypeOf(gone) === FHIR_JSON, `an OperationOutcome is ${mediaTypeOf(gone)}`, gone)
    find.should('ST-07', isOutcome(gone), 'a failed status request has no OperationOutcome', gone)
  }
  const twice = await exports.delete(statusUrl)
  if (isRefusal(twice)) {
    const isTold = isOutcome(twice) && mediaTypeOf(twice) === FHIR_JSON
    find.shall('DL-03', isTold, 'a delete that failed has no OperationOutcome as application/fhir+json', twice)
  } else find.shall('DL-03', false, `deleting what is deleted is answered with ${twice.status}`, twice)
}

const running: Check = {
  ids: ['DL-01', 'DL-02', 'DL-03', 'ST-06', 'ST-07'],
  run: async (context) => {
    const statusUrl = statusUrlOf(await context.exports.kickoff({ purpose: 'deleted while it runs' }))
    if (statusUrl === undefined) throw new NotHad('the kick-off was not accepted')
    await deleted(context, statusUrl, 'running')
  },
}

const complete: Check = {
  ids: ['DL-01', 'DL-02', 'DL-04'],
  run: async (context) => {
    const { server, exports, find } = context
    const run = await exports.complete({ purpose: 'deleted when it is complete' })
    const [largest] = filesIn(run, 'output').toSorted((one, other) => other.exchange.body.length - one.exchange.body.length)
    if (largest === undefined) throw new NotHad('the export has no file')
    const needsToken = run.manifest['requiresAccessToken'] !== false
    const slow = await open({
      url: largest.url,
      headers: { 'Accept-Encoding': 'identity', ...(needsToken ? await server.authorization() : {}) },
    })
    await deleted(context, run.statusUrl ?? '', 'complete')
    const isWhole = await slow.rest().then(
      ({ body }) => slow.status === 200 && body.equals(largest.exchange.body),
      () => false,
    )
    find.should('DL-04', isWhole, 'a download that had begun broke off when the export was deleted', largest.exchange)
  },
}

export const deleteChecks: readonly Check[] = [running, complete]
