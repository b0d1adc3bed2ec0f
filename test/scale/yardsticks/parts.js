const PART_BYTES = 5 * 1024 * 1024

/** The least that collecting a file in parts must do: one part after the other, none of them looked at. */
export default {
  async fetch(request, env) {
    const response = await fetch(request.headers.get('X-Vendor-Url'), {
      headers: { Authorization: request.headers.get('X-Vendor-Authorization') },
    })
    const upload = await env.FILES.createMultipartUpload('file')
    const parts = []
    const reader = response.body.getReader({ mode: 'byob' })
    for (;;) {
      const { value, done } = await reader.readAtLeast(PART_BYTES, new Uint8Array(PART_BYTES))
      if (value?.byteLength > 0) parts.push(await upload.uploadPart(parts.length + 1, value))
      if (done || value.byteLength < PART_BYTES) break
    }
    const { size } = await upload.complete(parts)
    return Response.json({ bytes: size })
  },
}
