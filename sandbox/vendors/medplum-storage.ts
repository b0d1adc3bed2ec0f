import { randomUUID } from 'node:crypto'
import type { ExportFile } from '../export-files.ts'
import { plainFile } from '../file-response.ts'
import { urlSigner } from '../signed-urls.ts'
import type { Vendor } from '../vendor-server.ts'

export interface MedplumStorage {
  /** A URL outside the FHIR base; its path is the file's, its query is new each time. */
  presign(file: ExportFile): string
  serve(request: Request): Response | Promise<Response>
}

/** Source: `docs/vendors.md`, Medplum 10: one hour. */
const URL_LIFETIME_SECONDS = 3600
const MAX_FILES = 200_000

export const storageError = (status: number, text: string): Response =>
  new Response(text, { status, headers: { 'Content-Type': 'text/plain; charset=utf-8' } })

/** Medplum's file store on the API's origin. Source: `docs/vendors.md`, Medplum 10 and 11. */
export const medplumStorage = (vendor: Vendor): MedplumStorage => {
  const signer = urlSigner()
  const byPath = new Map<string, ExportFile>()
  const pathOf = new WeakMap<ExportFile, string>()

  return {
    presign: (file) => {
      const path = pathOf.get(file) ?? `/storage/${file.id}/${randomUUID()}`
      pathOf.set(file, path)
      const oldest = byPath.size >= MAX_FILES ? byPath.keys().next().value : undefined
      if (oldest !== undefined) byPath.delete(oldest)
      byPath.set(path, file)
      const lifetimeSeconds = vendor.urlLifetimeSeconds(URL_LIFETIME_SECONDS)
      const expires = String(Math.floor(vendor.now() / 1000 + lifetimeSeconds))
      return `${vendor.origin}${path}?Expires=${expires}&Signature=${signer.sign(`${path} ${expires}`)}`
    },
    serve: (request) => {
      const { pathname, searchParams } = new URL(request.url)
      vendor.traffic.count('storeRequests')
      // A token does no harm here; it is counted all the same.
      if (request.headers.has('Authorization')) vendor.traffic.count('bearersAtStore')
      const expires = searchParams.get('Expires') ?? ''
      if (!signer.verify(`${pathname} ${expires}`, searchParams.get('Signature') ?? ''))
        return storageError(401, 'Invalid signature')
      if (Number(expires) * 1000 < vendor.now()) return storageError(410, 'URL has expired')
      const file = byPath.get(pathname)
      // `Range` is ignored, and the answer is chunked (recorded, "file range").
      if (file === undefined || vendor.jobs.withheld(file)) return storageError(404, 'Not found')
      return plainFile(request, file, false)
    },
  }
}
