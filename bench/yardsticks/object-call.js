import { DurableObject } from 'cloudflare:workers'

/** The least that a status poll must do: one request, one call to a Durable Object. */
export class Job extends DurableObject {
  view() {
    return 202
  }
}

export default {
  async fetch(_request, env) {
    return new Response(null, { status: await env.JOBS.get(env.JOBS.idFromName('a')).view() })
  },
}
