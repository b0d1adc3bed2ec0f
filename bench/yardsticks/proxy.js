/** The least that a pass-through must do: return what the vendor's file URL gives. */
export default {
  fetch: (request) =>
    fetch(new URL(request.url).searchParams.get('url'), {
      headers: { Authorization: request.headers.get('X-Vendor-Authorization') },
    }),
}
