const kept = []

/** Every job's object takes memory that it does not give back. */
export const layer = (worker, { bytes }) => ({
  ...worker,
  ExportJob: class extends worker.ExportJob {
    constructor(state, env) {
      super(state, env)
      kept.push(new Uint8Array(bytes).fill(1))
    }
  },
})
