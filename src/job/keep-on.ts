import { CutOff } from './file-errors.ts'
import type { PartUpload } from './part-upload.ts'

/**
 * What to do at a part's end. `pause`: go on in a later turn, if the file can be taken up there. `end`: there is no time to finish this
 * reading. `stop`: nobody wants the file any more.
 */
export type KeepOn = () => 'go-on' | 'pause' | 'end' | 'stop'

/** A turn older than this leaves the file that it reads to the next, if that can go on from there: the platform ends it at 15 minutes. */
export const SLICE_MS = 10 * 60_000
/** A reading that is still under way by then is ended by us, so that it counts as one that failed. */
export const END_MS = 14 * 60_000

/** What to do in an alarm turn that began then. @param wanted False as soon as the job was cancelled. */
export const turnOf =
  (wanted: () => boolean, startedMs: number): KeepOn =>
  () => {
    if (!wanted()) return 'stop'
    const ageMs = Date.now() - startedMs
    if (ageMs >= END_MS) return 'end'
    return ageMs < SLICE_MS ? 'go-on' : 'pause'
  }

/** Reading was broken off because nobody wants the file any more, or because the turn is over; nothing is wrong with it. */
export class BrokenOff extends Error {}

/** @throws BrokenOff or CutOff when a put is to end here. What it had is lost, so that it is in parts the next time. */
export const mayPutGoOn = (keepOn: KeepOn): void => {
  const wish = keepOn()
  if (wish === 'stop') throw new BrokenOff()
  if (wish !== 'go-on') throw new CutOff('too slow for one put')
}

/** @throws BrokenOff or CutOff when this reading is to end here. One that could only be begun again goes on while there is time. */
export const mayGoOn = async (keepOn: KeepOn, parts: PartUpload): Promise<void> => {
  const wish = keepOn()
  if (wish === 'go-on' || (wish === 'pause' && (parts.upload?.validator ?? null) === null)) return
  await parts.settled()
  throw wish === 'end' ? new CutOff('slower than a turn is long') : new BrokenOff()
}

/** @throws BrokenOff or CutOff when not even the part under way is to be finished. */
export const mayReadOn = (keepOn: KeepOn): void => {
  const wish = keepOn()
  if (wish === 'stop') throw new BrokenOff()
  if (wish === 'end') throw new CutOff('slower than a turn is long')
}
