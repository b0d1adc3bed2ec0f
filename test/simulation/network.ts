import type { Answer, Spoken } from './answers.ts'
import { SimulatedResponse } from './polyfills.ts'
import { SimulatedStream } from './streams.ts'
import type { Vendor } from './vendor.ts'
import type { Step, World } from './world.ts'

interface Init {
  readonly method?: string
  readonly headers?: HeadersInit
  readonly signal?: AbortSignal
}

const broken = (): Error => new TypeError('Network connection lost.')

/** A body whose first piece came with the header; each other one is a step of its own. */
const bodyOf = (world: World, { chunks, end }: Spoken): SimulatedStream => {
  const left = [...chunks]
  let isFirst = true
  return new SimulatedStream({
    pull: (controller) => {
      const next = (): void => {
        const chunk = left.shift()
        if (chunk) controller.enqueue(chunk)
        else if (end === 'broken') controller.error(broken())
        if (left.length === 0 && end === 'whole') controller.close()
      }
      if (isFirst) {
        isFirst = false
        next()
        return undefined
      }
      if (left.length === 0 && end === 'silent') return new Promise<void>(() => undefined)
      const { owner } = world
      return new Promise<void>((resolve) => {
        const run = (): void => {
          next()
          resolve()
        }
        world.push({ owner, label: 'more of a body', outgoing: false, canFail: false, run })
      })
    },
  })
}

/** `fetch`, with the vendor at the other end. */
export const fetchFrom =
  (world: World, vendor: Vendor) =>
  (url: string, init: Init = {}): Promise<SimulatedResponse> => {
    const { owner } = world
    const method = init.method ?? 'GET'
    const exchange = vendor.sent({ method, url, headers: new Headers(init.headers) })
    return new Promise((resolve, reject) => {
      const answered = (answer: Answer): void => {
        switch (answer.kind) {
          case 'silent':
            return
          case 'broken':
            exchange.failed?.()
            reject(broken())
            return
          case 'spoken':
            if (answer.end === 'whole') exchange.arrived?.()
            else exchange.failed?.()
            resolve(new SimulatedResponse(bodyOf(world, answer), { status: answer.status, headers: answer.headers }))
        }
      }
      let step: Step = world.push({
        owner,
        label: `${method} ${url}`,
        outgoing: true,
        canFail: true,
        run: (fault) => {
          const answer = exchange.answer(fault)
          if (answer.kind === 'silent') return
          const told = answer.kind === 'spoken' ? answer.status : answer.kind
          const back: Step = {
            owner,
            label: `${told} of ${method} ${url}`,
            outgoing: false,
            canFail: false,
            run: () => answered(answer),
          }
          step = owner.alive ? world.push(back) : back
        },
      })
      init.signal?.addEventListener('abort', () => {
        world.drop(step)
        exchange.failed?.()
        reject(new DOMException('The operation was aborted.', 'AbortError'))
      })
    })
  }
