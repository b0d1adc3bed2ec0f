let manifest

/** The least that a manifest must cost: `POST` gives it as an object, and `GET` writes it as JSON. */
export default {
  async fetch(request) {
    if (request.method === 'POST') {
      manifest = await request.json()
      return new Response(null, { status: 204 })
    }
    return new Response(JSON.stringify(manifest), { headers: { 'Content-Type': 'application/json' } })
  },
}
