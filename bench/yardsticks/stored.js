/**
 * The least that storing and giving back must do: `POST` puts what URLs give into R2, so many at a time, and `GET /n` returns a body
 * that rests there.
 */
export default {
  async fetch(request, env) {
    if (request.method === 'GET') {
      const object = await env.FILES.get(new URL(request.url).pathname)
      return new Response(object.body, { headers: { 'Content-Length': `${object.size}` } })
    }
    const { urls, atATime } = await request.json()
    const queue = urls.entries()
    let bytes = 0
    const worker = async () => {
      for (const [index, url] of queue) {
        const { body } = await fetch(url)
        const { size } = await env.FILES.put(`/${index}`, body)
        bytes += size
      }
    }
    await Promise.all(Array.from({ length: atATime }, worker))
    return Response.json({ bytes })
  },
}
