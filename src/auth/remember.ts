/** Adds to what is remembered, as the latest; where there are as many as there may be, the oldest goes. */
export const remember = <Value>(map: Map<string, Value>, key: string, value: Value, most: number): void => {
  map.delete(key)
  const [oldest] = map.keys()
  if (oldest !== undefined && map.size >= most) map.delete(oldest)
  map.set(key, value)
}
