/** The least that a pass-through must do: return what the vendor's file URL gives. Gzip is passed on as it is where it is accepted. */
export default {
  async fetch(request) {
    const url = request.headers.get('X-Vendor-Url')
    const response = await fetch(url, { headers: { Authorization: request.headers.get('X-Vendor-Authorization') } })
    const isDecoded = request.headers.has('X-Decoded') && response.headers.has('Content-Encoding')
    return isDecoded ? new Response(response.body, { headers: { 'Content-Type': 'application/fhir+ndjson' } }) : response
  },
}
