import type { Row } from './row.ts'
import { CANCEL_ROWS } from './rows/cancel.ts'
import { FILE_ROWS } from './rows/file.ts'
import { KICKOFF_ROWS } from './rows/kickoff.ts'
import { STATUS_ROWS } from './rows/status.ts'
import { TOKEN_ROWS } from './rows/token.ts'

/** Every switch of the sandbox, at every phase that it makes sense for, and what a client is promised then. */
export const TABLE = {
  token: TOKEN_ROWS,
  kickoff: KICKOFF_ROWS,
  status: STATUS_ROWS,
  file: FILE_ROWS,
  cancel: CANCEL_ROWS,
} as const satisfies Record<Row['phase'], readonly Row[]>
