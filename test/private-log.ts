/** Whatever its source, none of these has a place in a log: addresses, tokens, keys, and what the tests give their vendors as secrets. */
const PRIVATE: Readonly<Record<string, RegExp>> = {
  'an address': /:\/\/|%3a%2f%2f/i,
  'a token': /\bBearer\s|\beyJ[\w-]{8,}\.[\w-]{8,}|vendor-token/i,
  'a key': /"(?:d|dp|dq|qi|k)"\s*:\s*"|-----BEGIN/,
  'a secret': /(?:client_secret|client_assertion|access_token|apiKey)["=:]/i,
  'a resource': /"resourceType"/,
}

/** What a line of a log holds that must not leave by it; `undefined` for a line that may. */
export const leakIn = (line: string): string | undefined => {
  // What is logged as JSON within JSON is quoted twice.
  const readings = [line, line.replaceAll('\\"', '"')]
  return Object.entries(PRIVATE).find(([, pattern]) => readings.some((reading) => pattern.test(reading)))?.[0]
}
