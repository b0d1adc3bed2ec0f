const RealDate = Date
const { setTimeout: realTimeout, setInterval: realInterval } = globalThis
let scale = 1
let originMs = RealDate.now()

const simulated = (realMs) => (realMs < originMs ? realMs : originMs + (realMs - originMs) * scale)
const real = (simulatedMs) => (simulatedMs < originMs ? simulatedMs : originMs + (simulatedMs - originMs) / scale)
const nowMs = () => simulated(RealDate.now())

globalThis.Date = class extends RealDate {
  constructor(...parts) {
    if (parts.length === 0) super(nowMs())
    else super(...parts)
  }
  static now() {
    return nowMs()
  }
}
globalThis.setTimeout = (callback, delayMs = 0, ...rest) => realTimeout(callback, delayMs / scale, ...rest)
globalThis.setInterval = (callback, delayMs = 0, ...rest) => realInterval(callback, delayMs / scale, ...rest)

let isPatched = false
/** Alarms are kept by the runtime, whose clock is the real one. */
const patchAlarms = (storage) => {
  if (isPatched) return
  isPatched = true
  const prototype = Object.getPrototypeOf(storage)
  const { setAlarm, getAlarm } = prototype
  prototype.setAlarm = function setScaledAlarm(at, options) {
    // Rounded up: one that rings before its time, and is set to that very time again, is not heard of any more.
    return setAlarm.call(this, Math.ceil(real(Number(at))), options)
  }
  prototype.getAlarm = async function getScaledAlarm(options) {
    const atMs = await getAlarm.call(this, options)
    return atMs === null ? null : simulated(atMs)
  }
}

const scaled = (Base) =>
  class extends Base {
    constructor(state, env) {
      patchAlarms(state.storage)
      super(state, env)
    }
  }

/** Lets time pass faster from a given moment on, which may be yet to come: `times` seconds a second. */
export const layer = (worker, { times, fromMs }) => {
  scale = times
  originMs = fromMs
  return {
    ...worker,
    ExportJob: scaled(worker.ExportJob),
    SourceGate: scaled(worker.SourceGate),
    ClientLedger: scaled(worker.ClientLedger),
  }
}
