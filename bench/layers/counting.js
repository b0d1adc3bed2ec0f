/* Counts what the platform bills. One isolate holds the Worker and all its objects here, so that one tally does. */

const zero = () => ({ workerRequests: 0, objectRequests: 0, rowsRead: 0, rowsWritten: 0, classA: 0, classB: 0, free: 0 })
let counts = zero()
const patched = new Set()
const pending = new Set()

/** Of a cursor that is read by now. */
const settle = () => {
  for (const cursor of pending) {
    counts.rowsRead += cursor.rowsRead
    counts.rowsWritten += cursor.rowsWritten
  }
  pending.clear()
}

const patch = (prototype, methods) => {
  if (patched.has(prototype)) return
  patched.add(prototype)
  for (const [name, wrap] of Object.entries(methods)) prototype[name] = wrap(prototype[name])
}

const counted = (kind) => (method) =>
  function count(...values) {
    counts[kind] += 1
    return method.apply(this, values)
  }

// Which operation is of which class: https://developers.cloudflare.com/r2/pricing/
const patchUpload = (upload) =>
  patch(Object.getPrototypeOf(upload), { uploadPart: counted('classA'), complete: counted('classA'), abort: counted('free') })

const patchBucket = (bucket) =>
  patch(Object.getPrototypeOf(bucket), {
    put: counted('classA'),
    list: counted('classA'),
    get: counted('classB'),
    head: counted('classB'),
    delete: counted('free'),
    createMultipartUpload: counted('classA'),
    resumeMultipartUpload: (method) =>
      function resume(...values) {
        const upload = method.apply(this, values)
        patchUpload(upload)
        return upload
      },
  })

// An alarm that is set is one row written: https://developers.cloudflare.com/durable-objects/platform/pricing/
const patchStorage = (storage) => {
  patch(Object.getPrototypeOf(storage), { setAlarm: counted('rowsWritten'), deleteAll: counted('rowsWritten') })
  patch(Object.getPrototypeOf(storage.sql), {
    exec: (method) =>
      function count(...values) {
        settle()
        const cursor = method.apply(this, values)
        pending.add(cursor)
        return cursor
      },
  })
}

const within = new WeakSet()

/** A call of an object. What it calls of itself meanwhile is none. */
const called = (method) =>
  function count(...values) {
    if (within.has(this)) return method.apply(this, values)
    counts.objectRequests += 1
    within.add(this)
    try {
      return method.apply(this, values)
    } finally {
      within.delete(this)
    }
  }

const countedObject = (Base) => {
  const Counted = class extends Base {
    constructor(state, env) {
      patchBucket(env.FILES)
      patchStorage(state.storage)
      super(state, env)
    }
  }
  for (const name of Object.getOwnPropertyNames(Base.prototype))
    if (name !== 'constructor') Counted.prototype[name] = called(Base.prototype[name])
  return Counted
}

/** `GET /_counts` tells what was counted since it was asked before. */
export const layer = (worker) => ({
  ...worker,
  default: {
    ...worker.default,
    fetch(request, env, context) {
      if (new URL(request.url).pathname === '/_counts') {
        settle()
        const answer = Response.json(counts)
        counts = zero()
        return answer
      }
      patchBucket(env.FILES)
      counts.workerRequests += 1
      return worker.default.fetch(request, env, context)
    },
  },
  ExportJob: countedObject(worker.ExportJob),
  SourceGate: countedObject(worker.SourceGate),
  ClientLedger: countedObject(worker.ClientLedger),
})
