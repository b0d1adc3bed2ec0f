/** Looks after every object that it puts, as nobody needs to. */
export const layer = (worker, { times }) => {
  const patched = new Set()
  const wasteful = (bucket) => {
    const prototype = Object.getPrototypeOf(bucket)
    if (patched.has(prototype)) return
    patched.add(prototype)
    const { put, get } = prototype
    prototype.put = async function putAndLook(key, value, options) {
      const object = await put.call(this, key, value, options)
      for (let time = 0; time < times; time += 1) await (await get.call(this, key)).arrayBuffer()
      return object
    }
  }
  return {
    ...worker,
    ExportJob: class extends worker.ExportJob {
      constructor(state, env) {
        super(state, env)
        wasteful(env.FILES)
      }
    },
  }
}
