import { createServer } from 'node:http'

/** A conformant server that costs nothing: jobs that never end, or one file of known bytes that is there at once. */
export interface BenchVendor {
  readonly origin: string
  readonly fileUrl: string
  readonly fileBytes: number
  /** Requests to job URLs since the last call. */
  statusRequests(): number
  close(): Promise<void>
}

const LINE = Buffer.from(`${JSON.stringify({ resourceType: 'Observation', id: 'x', status: 'final', note: 'n'.repeat(430) })}\n`)

export const startVendor = async (megabytes: number): Promise<BenchVendor> => {
  const block = Buffer.concat(Array.from({ length: 2048 }, () => LINE))
  const blocks = Math.ceil((megabytes * 1_000_000) / block.length)
  let statusRequests = 0
  let origin = ''
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    if (path.startsWith('/file')) {
      response.writeHead(200, { 'Content-Type': 'application/fhir+ndjson', 'Content-Length': blocks * block.length })
      let sent = 0
      const more = (): void => {
        while (sent < blocks) {
          sent += 1
          if (!response.write(block)) return
        }
        response.end()
      }
      response.on('drain', more)
      more()
      return
    }
    if (path.startsWith('/jobs/')) {
      statusRequests += 1
      if (path === '/jobs/running') response.writeHead(202, { 'Retry-After': '600', 'X-Progress': '10%' }).end()
      else {
        const output = [{ type: 'Observation', url: `${origin}/file` }]
        const manifest = { transactionTime: new Date().toISOString(), request: '', requiresAccessToken: true, output, error: [] }
        response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(manifest))
      }
      return
    }
    response.writeHead(202, { 'Content-Location': `${origin}/jobs/${path.includes('Patient') ? 'running' : 'done'}` }).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  origin = `http://127.0.0.1:${address.port}`
  return {
    origin,
    fileUrl: `${origin}/file`,
    fileBytes: blocks * block.length,
    statusRequests: () => {
      const count = statusRequests
      statusRequests = 0
      return count
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
