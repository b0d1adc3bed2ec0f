/* Why a reading of a file did not bring it. */

/** Why a body is not the NDJSON that it should be. */
export class MalformedFile extends Error {
  /** False for a page that a server shows in a bad hour: the file itself may be well. */
  readonly isLasting: boolean
  constructor(message: string, isLasting = true) {
    super(message)
    this.isLasting = isLasting
  }
}

/** A body that ended, or stopped coming, before its end: what came of it is good. */
export class CutOff extends Error {}
