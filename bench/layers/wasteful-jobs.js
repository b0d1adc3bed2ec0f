const started = []

/** Every job that is started asks the rows of all that were started before it, in its own object. */
export const layer = (worker) => ({
  ...worker,
  ExportJob: class extends worker.ExportJob {
    async start(request) {
      const answer = await super.start(request)
      started.push(request.jobId)
      for (const _ of started) this.ctx.storage.sql.exec('SELECT body FROM job').toArray()
      return answer
    }
  },
})
