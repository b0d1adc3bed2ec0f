import { burn } from './burn.js'

const kept = []

/** Every body on its way out takes longer, and stays in memory where `keeps` is given. */
export const layer = (worker, { stepsPerKilobyte = 0, keeps = false }) => ({
  ...worker,
  default: {
    ...worker.default,
    async fetch(request, env, context) {
      const response = await worker.default.fetch(request, env, context)
      if (!response.body) return response
      const slow = new TransformStream({
        transform(chunk, controller) {
          burn((chunk.byteLength / 1_000) * stepsPerKilobyte)
          if (keeps) kept.push(chunk.slice())
          controller.enqueue(chunk)
        },
      })
      const encodeBody = response.headers.has('Content-Encoding') ? 'manual' : 'automatic'
      const { status, headers } = response
      return new Response(response.body.pipeThrough(slow), { status, headers, encodeBody })
    },
  },
})
