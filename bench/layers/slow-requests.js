import { burn } from './burn.js'

let requests = 0

/** Every request takes longer, and each more than the one before it where `growth` is given. */
export const layer = (worker, { steps = 0, growth = 0 }) => ({
  ...worker,
  default: {
    ...worker.default,
    fetch(request, env, context) {
      requests += 1
      burn(steps + growth * requests)
      return worker.default.fetch(request, env, context)
    },
  },
})
