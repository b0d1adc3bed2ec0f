import { headerElements, unquoted } from './header-list.ts'

/** The preferences that mean something to an export. */
export interface Preferences {
  readonly respondAsync: boolean
  /** Absent is strict. */
  readonly handling?: 'lenient' | 'strict'
  /** HTTP status tells about the poll, `X-Export-Status` about the export. */
  readonly separateExportStatus: boolean
}

/**
 * Reads `Prefer`: several headers joined by commas, any case, `;` parameters and unknown preferences passed over. Of a preference
 * that is given twice the first counts (RFC 7240 §2).
 *
 * @param header `null` when absent: nothing is preferred.
 * @see Bulk Data Kick-off, Headers [KO-08, KO-09, KO-10]
 */
export const parsePrefer = (header: string | null): Preferences => {
  const preferences = new Map<string, string>()
  for (const { value } of headerElements(header)) {
    const [name = '', word = ''] = value.split(/=(.*)/s).map((part) => unquoted(part).toLowerCase())
    if (!preferences.has(name)) preferences.set(name, word)
  }
  const handling = preferences.get('handling')
  return {
    respondAsync: preferences.has('respond-async'),
    separateExportStatus: preferences.has('separate-export-status'),
    ...(handling === 'lenient' || handling === 'strict' ? { handling } : {}),
  }
}
