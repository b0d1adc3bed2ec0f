/** The least that passing a file through must do: return what the vendor's file URL gives. */
export default {
  fetch: (request) =>
    fetch(request.headers.get('X-Vendor-Url'), { headers: { Authorization: request.headers.get('X-Vendor-Authorization') } }),
}
