/** Operations of an upload are far fewer than its budget, which is for the smallest parts. */
const LISTS_OF_AN_UPLOAD = 500

/** Asks the vendor for each file twice, and R2 what it holds whenever something is to be put there. */
export const layer = (worker) => {
  const { fetch } = globalThis
  globalThis.fetch = async (input, init) => {
    const { url } = new Request(input)
    if (url.includes('/files/')) await (await fetch(url)).body?.cancel()
    return fetch(input, init)
  }
  const patched = new Set()
  const listing = (bucket) => {
    const prototype = Object.getPrototypeOf(bucket)
    if (patched.has(prototype)) return
    patched.add(prototype)
    for (const [name, lists] of Object.entries({ put: 1, createMultipartUpload: LISTS_OF_AN_UPLOAD })) {
      const { [name]: method } = prototype
      prototype[name] = async function listFirst(...values) {
        for (let list = 0; list < lists; list += 1) await this.list({ limit: 1 })
        return method.apply(this, values)
      }
    }
  }
  return {
    ...worker,
    ExportJob: class extends worker.ExportJob {
      constructor(state, env) {
        listing(env.FILES)
        super(state, env)
      }
    },
  }
}
