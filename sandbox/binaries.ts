import type { Dataset } from './dataset.ts'
import { parseJson, stringOf } from './json.ts'
import { lines } from './ndjson.ts'
import { attachmentOf } from './oddities.ts'
import { FHIR_JSON, fhirResponse, outcomeResponse } from './outcome.ts'

/**
 * `GET Binary/[id]`: the content itself, or the resource when FHIR is asked for.
 * https://hl7.org/fhir/R4/binary.html#rest; which of both a server prefers is assumed.
 */
export const readBinary = async (dataset: Dataset, id: string, accept: string | undefined): Promise<Response> => {
  for (const file of await dataset.files('DocumentReference')) {
    for await (const line of lines(file.open())) {
      const row = parseJson(line.toString('utf8')) ?? {}
      if (stringOf(row['id']) !== id) continue
      const attachment = attachmentOf(row)
      if (attachment === undefined) break
      const { contentType, data } = attachment
      if (accept?.includes(FHIR_JSON) === true) return fhirResponse(200, { resourceType: 'Binary', id, contentType, data })
      return new Response(Buffer.from(data, 'base64'), { headers: { 'Content-Type': contentType } })
    }
  }
  return outcomeResponse(404, 'not-found', `Binary/${id} is not known`)
}
