import { requestToken } from './bulk-client.ts'
import { HOST } from './facade.ts'
import { sandboxKeys } from './state.ts'

// Prints an access token of a demo client for a running `npm start`: npm run -s token [demo|other] [scope…]
const [clientId = 'demo', ...scopes] = process.argv.slice(2)
const keys = await sandboxKeys()
if (clientId !== 'demo' && clientId !== 'other') {
  console.error('The sandbox knows the clients demo and other.')
  process.exit(2)
}
const base = `http://${HOST}:${process.env.PORT ?? 8787}`
try {
  const { token } = await requestToken(base, clientId, keys[clientId], scopes.length > 0 ? scopes.join(' ') : undefined)
  console.log(token)
} catch (error) {
  console.error(`No token from ${base}: ${(error as Error).message}. Is \`npm start\` running, with the same PORT?`)
  process.exit(1)
}
