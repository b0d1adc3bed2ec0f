/** One part of an upload that R2 has. */
export interface Part {
  /** From 1. */
  readonly n: number
  readonly etag: string
  /** Lower-case hex, of all that came up to its end; tells whether a second reading of the file brings the same bytes. */
  readonly sha256: string
  /** Whether its last byte ends a line. */
  readonly endsLine: boolean
  /** Bytes of the file behind its last newline up to the part's end. `null`: an older version stored it, and did not look. */
  readonly tailBytes: number | null
}

/** What is known of an upload from its first part on. */
export interface Upload {
  /** R2's. */
  readonly id: string
  readonly partBytes: number
  /** Bytes of the vendor's file as it announced them; null when it did not. */
  readonly length: number | null
  /** Strong `ETag` of a file whose bytes are stored as they come: it can be asked for from any offset. */
  readonly validator: string | null
  /** Of the first line. */
  readonly type: string | null
}

/** An upload whose parts are all there, to be completed; digest and lines are found by reading it back where they are null. */
export interface WholeUpload {
  readonly bytes: number
  readonly lines: number | null
  readonly sha256: string | null
  /** Rows of the vendor's file that are not in it. Omitted: none. */
  readonly leftOut?: number
  /** Types of those among them that other files are to hold. */
  readonly otherTypes?: readonly string[]
}

export interface KeptUpload {
  readonly upload: Upload
  readonly whole: WholeUpload | undefined
  /** In order, without a gap. All but the last of a whole upload are of full size. */
  readonly parts: readonly Part[]
}

/** The rows of one file's upload. Each call is synchronous. */
export interface UploadRecord {
  load(): KeptUpload | undefined
  begin(upload: Upload): void
  addPart(part: Part): void
  /** This part and those after it are to be uploaded anew. */
  dropPartsFrom(n: number): void
  /** What a later reading may be asked to continue; null: nothing. */
  setValidator(validator: string | null): void
  finish(whole: WholeUpload, lastPart: Part | undefined): void
  drop(): void
}

interface UploadColumns extends Record<string, SqlStorageValue> {
  readonly id: string
  readonly partBytes: number
  readonly length: number | null
  readonly validator: string | null
  readonly type: string | null
  readonly isWhole: number
  readonly bytes: number | null
  readonly lines: number | null
  readonly sha256: string | null
  readonly leftOut: number | null
  readonly otherTypes: string | null
}

const COLUMNS = `id, part_bytes AS partBytes, length, validator, type, is_whole AS isWhole, bytes, lines, sha256,
  left_out AS leftOut, other_types AS otherTypes`

/** Multipart state in rows: whatever becomes of the object, what R2 has of a file is not read from the vendor again. */
export class UploadRows {
  readonly #sql: SqlStorage

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /** All uploads that are under way. */
  all(): { readonly file: number; readonly id: string }[] {
    return this.#sql.exec<{ file: number; id: string }>('SELECT file, id FROM upload').toArray()
  }

  of(file: number): UploadRecord {
    const sql = this.#sql
    return {
      load: () => this.#load(file),
      begin: ({ id, partBytes, length, validator, type }) => {
        sql.exec('DELETE FROM part WHERE file = ?', file)
        sql.exec(
          'INSERT INTO upload (file, id, part_bytes, length, validator, type) VALUES (?, ?, ?, ?, ?, ?)',
          file,
          id,
          partBytes,
          length,
          validator,
          type,
        )
      },
      addPart: (part) => this.#addPart(file, part),
      dropPartsFrom: (n) => {
        sql.exec('DELETE FROM part WHERE file = ? AND n >= ?', file, n)
      },
      setValidator: (validator) => {
        sql.exec('UPDATE upload SET validator = ? WHERE file = ?', validator, file)
      },
      finish: ({ bytes, lines, sha256, leftOut = 0, otherTypes = [] }, lastPart) => {
        if (lastPart) this.#addPart(file, lastPart)
        sql.exec(
          'UPDATE upload SET is_whole = 1, bytes = ?, lines = ?, sha256 = ?, left_out = ?, other_types = ? WHERE file = ?',
          bytes,
          lines,
          sha256,
          leftOut,
          otherTypes.join(),
          file,
        )
      },
      drop: () => this.drop(file),
    }
  }

  /** Parts without an upload mean nothing: they go with the job, since each that is deleted costs as much as one that is written. */
  drop(file: number): void {
    this.#sql.exec('DELETE FROM upload WHERE file = ?', file)
  }

  #addPart(file: number, { n, etag, sha256, endsLine, tailBytes }: Part): void {
    this.#sql.exec(
      'INSERT OR REPLACE INTO part (file, n, etag, sha256, ends_line, tail_bytes) VALUES (?, ?, ?, ?, ?, ?)',
      file,
      n,
      etag,
      sha256,
      endsLine ? 1 : 0,
      tailBytes,
    )
  }

  #load(file: number): KeptUpload | undefined {
    const [row] = this.#sql.exec<UploadColumns>(`SELECT ${COLUMNS} FROM upload WHERE file = ?`, file).toArray()
    if (!row) return undefined
    const parts = this.#sql
      .exec<{ n: number; etag: string; sha256: string; endsLine: number; tailBytes: number | null }>(
        'SELECT n, etag, sha256, ends_line AS endsLine, tail_bytes AS tailBytes FROM part WHERE file = ? ORDER BY n',
        file,
      )
      .toArray()
    const { isWhole, bytes, lines, sha256, leftOut, otherTypes, ...upload } = row
    const others = otherTypes === null || otherTypes === '' ? [] : otherTypes.split(',')
    return {
      upload,
      whole: isWhole === 1 ? { bytes: bytes ?? 0, lines, sha256, leftOut: leftOut ?? 0, otherTypes: others } : undefined,
      parts: parts.map((part) => ({ ...part, endsLine: part.endsLine === 1 })),
    }
  }
}
