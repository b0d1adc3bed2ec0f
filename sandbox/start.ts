import { readOptions } from './options.ts'
import { startStack } from './stack.ts'
import { LOG_FILE } from './state.ts'

const DEFAULT_PORT = 8787

const port = Number(process.env.PORT ?? DEFAULT_PORT)
if (!Number.isInteger(port) || port < 1 || port > 65_535) {
  console.error('PORT: a whole number from 1 to 65535')
  process.exit(2)
}

const options = readOptions(process.argv.slice(2))
const stack = await startStack(options, port).catch((error: unknown) => {
  if (!/in use/i.test(String(error))) throw error
  console.error(
    `Port ${port} is in use, perhaps by the workerd of an earlier start that was killed. End that process, or set PORT to another port.`,
  )
  process.exit(1)
})
for (const { id, title, groupId, origin } of stack.sandbox.vendors)
  console.log(`${stack.facade.base}/fhir/${id}  ${title}, group ${groupId}; POST ${origin}/_faults makes it misbehave`)
console.log(`Log: ${LOG_FILE}`)
console.log(`Bulkhead ready on ${stack.facade.base}`)

let stopping = false
const stop = async (): Promise<void> => {
  if (stopping) return
  stopping = true
  await stack.close()
  process.exit(0)
}
process.once('SIGINT', () => void stop())
process.once('SIGTERM', () => void stop())
