// Items and gaps of one seal as they are found: content goes to the blob store at once, memory keeps what names it.

import { codeOf, HEADER, positionOf, sealedRecord } from '@andon/kit'
import type { Blobs, LogRecord } from '@andon/kit'
import type { SealedItem, SealGap } from '@andon/schemas'

/** Of what retention, or the loss of the log's tail, has taken. */
export const GONE = 'not on the log any more'

export class Collection {
  readonly items: SealedItem[] = []
  readonly gaps: SealGap[] = []
  bytes = 0
  private readonly seen = new Set<string>()
  private readonly blobs: Blobs
  private readonly maxBytes: number

  constructor(blobs: Blobs, maxBytes: number) {
    this.blobs = blobs
    this.maxBytes = maxBytes
  }

  gap(what: string, why: string): void {
    this.gaps.push({ what, why })
  }

  async record(kind: string, record: LogRecord): Promise<void> {
    const position = positionOf(record)
    if (this.seen.has(position)) return
    this.seen.add(position)
    await this.content(kind, record.header(HEADER.id) ?? position, position, sealedRecord(record))
  }

  /** What lies in a blob store; a gap where it is missing there or no longer has its digest. */
  async blob(kind: string, id: string, from: Blobs, uri: string): Promise<void> {
    try {
      await this.content(kind, id, null, await from.get(uri))
    } catch (error) {
      const code = codeOf(error)
      if (!code?.startsWith('ANDON_BLOB_')) throw error
      this.gap(`${kind} ${id}`, code === 'ANDON_BLOB_MISSING' ? 'not in the blob store' : 'its content no longer has its digest')
    }
  }

  private async content(kind: string, id: string, position: string | null, content: Buffer): Promise<void> {
    if (this.bytes + content.length > this.maxBytes) {
      this.gap(`${kind} ${id}`, `above ${this.maxBytes} bytes in all`)
      return
    }
    const { sha256, bytes } = await this.blobs.put(content)
    this.bytes += bytes
    this.items.push({ kind, id, digest: sha256, bytes, position })
  }
}
