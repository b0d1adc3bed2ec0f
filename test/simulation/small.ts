/** Sizes that take the place of the deployed ones, so that files of some hundred bytes go through every path of large ones. */
export const SMALL = {
  MIN_PART_BYTES: 64,
  MAX_SINGLE_PUT_BYTES: 130,
  PUT_BLOCK_BYTES: 50,
  STREAM_BLOCK_BYTES: 64,
} as const

const CONSTANT = /\bconst ([A-Z_]+) = \d[\d_]*(?: \* \d[\d_]*)*$/gm

/** Puts the small sizes into a file of the engine. */
export const shrunk = (code: string): string =>
  code.replaceAll(CONSTANT, (whole, name: string) =>
    Object.hasOwn(SMALL, name) ? `const ${name} = ${SMALL[name as keyof typeof SMALL]}` : whole,
  )
