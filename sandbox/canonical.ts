import { isJson, type Json } from './json.ts'

/** Reads what an attachment's URL names, as the reader of the row would. */
export type ReadAttachment = (url: string) => Promise<Uint8Array>

/** An attachment's content in place of its address. */
const resolved = async (attachment: Json, read: ReadAttachment): Promise<Json> => {
  const { url, ...rest } = attachment
  if (typeof url !== 'string' || 'data' in attachment) return attachment
  return { ...rest, data: Buffer.from(await read(url)).toString('base64') }
}

const sorted = async (value: unknown, read: ReadAttachment): Promise<unknown> => {
  if (Array.isArray(value)) return Promise.all(value.map((each) => sorted(each, read)))
  if (!isJson(value)) return value
  const entries = await Promise.all(
    Object.entries(value).map(async ([name, member]): Promise<[string, unknown]> => {
      const whole = name === 'attachment' && isJson(member) ? await resolved(member, read) : member
      return [name, await sorted(whole, read)]
    }),
  )
  return Object.fromEntries(entries.toSorted(([one], [other]) => (one < other ? -1 : 1)))
}

/** A resource so that two are alike when they say the same: members in order, attachments as their content. */
export const canonical = async (row: Json, read: ReadAttachment): Promise<string> => JSON.stringify(await sorted(row, read))
