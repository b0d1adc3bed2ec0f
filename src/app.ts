import { bodyLimit } from 'hono/body-limit'
import { authenticate } from './auth/authenticate.ts'
import { ExportError, wireOf } from './errors.ts'
import { issueOf, operationOutcome } from './fhir/operation-outcome.ts'
import { log, nameOf } from './log.ts'
import { attachment } from './routes/attachments.ts'
import { listAudit, operatorOnly } from './routes/audit.ts'
import { audited } from './routes/audit-trail.ts'
import { only, type App } from './routes/context.ts'
import { metadata, readOperationDefinition, smartOfOrigin, smartOfSource } from './routes/discovery.ts'
import { crossOrigin, safeHeaders } from './routes/edge.ts'
import { outputFile } from './routes/files.ts'
import { readGroup, searchGroups } from './routes/groups.ts'
import { live, ready } from './routes/health.ts'
import { listJobs } from './routes/jobs.ts'
import { kickoff, MAX_KICKOFF_BYTES } from './routes/kickoff.ts'
import { router } from './routes/router.ts'
import { remove, status } from './routes/status.ts'
import { tokenRoutes } from './routes/token.ts'

/** The route table: the whole surface, in one place. */
export const app = router<App>()

app.use(safeHeaders, crossOrigin)

app.get('/health/live', live)
app.get('/health/ready', ready)

app.route('/auth', tokenRoutes)
app.get('/.well-known/smart-configuration', smartOfOrigin)
app.get('/fhir/:source/.well-known/smart-configuration', smartOfSource)
app.get('/fhir/:source/metadata', metadata)
app.get('/fhir/:source/OperationDefinition/:operation', readOperationDefinition)

for (const path of [
  '/health/live',
  '/health/ready',
  '/.well-known/smart-configuration',
  '/fhir/:source/.well-known/smart-configuration',
  '/fhir/:source/metadata',
  '/fhir/:source/OperationDefinition/:operation',
]) {
  app.all(path, only('GET'))
}

app.use('/fhir/:source/*', authenticate)
app.use('/jobs', authenticate)
app.use('/operator/*', operatorOnly)

const body = bodyLimit({
  maxSize: MAX_KICKOFF_BYTES,
  onError: () => {
    throw new ExportError(
      'body_too_large',
      `The body is larger than ${MAX_KICKOFF_BYTES} bytes. Export the whole group, or fewer patients at a time.`,
    )
  },
})
for (const [level, path] of [
  ['system', '/fhir/:source/$export'],
  ['patient', '/fhir/:source/Patient/$export'],
  ['group', '/fhir/:source/Group/:groupId/$export'],
] as const) {
  app.get(path, audited('kickoff', level), kickoff(level))
  app.post(path, audited('kickoff', level), body, kickoff(level))
  app.all(path, only('GET, POST'))
}
app.get('/fhir/:source/Group', audited('group-search'), searchGroups)
app.all('/fhir/:source/Group', only('GET'))
app.get('/fhir/:source/Group/:groupId', audited('group-read'), readGroup)
app.all('/fhir/:source/Group/:groupId', only('GET'))
app.get('/fhir/:source/jobs/:job', audited('manifest'), status)
app.delete('/fhir/:source/jobs/:job', audited('delete'), remove)
app.all('/fhir/:source/jobs/:job', only('GET, DELETE'))
app.get('/fhir/:source/jobs/:job/files/:file', audited('file'), outputFile)
app.all('/fhir/:source/jobs/:job/files/:file', only('GET, HEAD'))
app.get('/fhir/:source/jobs/:job/attachments/:sealed', audited('file'), attachment)
app.all('/fhir/:source/jobs/:job/attachments/:sealed', only('GET, HEAD'))
app.get('/jobs', listJobs)
app.all('/jobs', only('GET'))
app.get('/operator/clients/:client/audit', listAudit)
app.all('/operator/clients/:client/audit', only('GET'))

app.notFound(() => {
  throw new ExportError('route_not_found', 'There is nothing at this path. /fhir/{source}/metadata lists what a source offers.')
})

app.onError((error, c) => {
  if (!(error instanceof ExportError)) log('error', { event: 'request.failed', error: nameOf(error) })
  const known =
    error instanceof ExportError
      ? error
      : new ExportError('internal', 'Bulkhead failed to answer. Try again; if it persists, tell its operator.')
  const { status: httpStatus } = wireOf(known.code)
  const { retryAfterSeconds, allow } = known.options
  if (retryAfterSeconds !== undefined) c.header('Retry-After', `${Math.max(1, Math.ceil(retryAfterSeconds))}`)
  if (allow !== undefined) c.header('Allow', allow)
  if (httpStatus === 401)
    c.header('WWW-Authenticate', known.code === 'token_missing' ? 'Bearer realm="bulkhead"' : 'Bearer error="invalid_token"')
  if (known.code === 'scope_insufficient') c.header('WWW-Authenticate', 'Bearer error="insufficient_scope"')
  return c.json(operationOutcome([issueOf(known)]), httpStatus, { 'Content-Type': 'application/fhir+json' })
})
