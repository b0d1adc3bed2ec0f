import { build } from '../../sandbox/build.ts'

/** Builds the Worker once for all end-to-end tests. */
export const setup = async (): Promise<void> => {
  await build()
}
