const BLOCK_BYTES = 256 * 1024

/** The least that reading a body must do: read it in blocks and drop them. */
export default {
  async fetch(request) {
    const { url } = await request.json()
    const { body } = await fetch(url)
    const reader = body.getReader({ mode: 'byob' })
    let bytes = 0
    for (let buffer = new Uint8Array(BLOCK_BYTES); ;) {
      const { value, done } = await reader.readAtLeast(BLOCK_BYTES, buffer)
      if (value) bytes += value.byteLength
      if (done || value.byteLength < BLOCK_BYTES) break
      buffer = new Uint8Array(value.buffer)
    }
    return Response.json({ bytes })
  },
}
