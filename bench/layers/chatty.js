/** Asks the vendor for a job's status whenever a client does. */
export const layer = (worker, { group }) => ({
  ...worker,
  default: {
    ...worker.default,
    async fetch(request, env, context) {
      if (/\/jobs\/[^/]+$/.test(new URL(request.url).pathname)) await fetch(`${env.SOURCE_BENCH.fhirBase}/jobs/${group}`)
      return worker.default.fetch(request, env, context)
    },
  },
})
