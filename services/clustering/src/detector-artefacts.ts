// The fitted detectors of a partition's assets: in memory by digest, in the blob store before anything that names one is
// published, read back from there after a restart.

import { codeOf, sha256Hex } from '@andon/kit'
import type { Blobs } from '@andon/kit'
import { packed, unpacked } from './detectors/packed.ts'
import { cardOfFitted } from './fitted-asset.ts'
import type { FittedAsset } from './fitted-asset.ts'
import type { Card } from './model-cards.ts'

export interface DetectorArtefacts {
  /** Undefined while it is not in memory; `load` fetches it. */
  of(digest: string): FittedAsset | undefined
  /** What the asset learnt as normal, as a model's card says it. */
  cardOf(digest: string): Card | undefined
  /** The blob store has it no more: whoever needs it has to learn anew. */
  isLost(digest: string): boolean
  /** Keeps it in memory and gives its digest; it is in the blob store once `stored` resolves. */
  add(fitted: FittedAsset): string
  load(digest: string): Promise<void>
  stored(): Promise<void>
  forget(digest: string): void
}

/** Without a blob store they live in memory alone: for a recording that is judged in one go. */
export const openArtefacts = (blobs?: Pick<Blobs, 'put' | 'get'>, onLost?: (digest: string, error: unknown) => void): DetectorArtefacts => {
  const known = new Map<string, { readonly fitted: FittedAsset; readonly card: Card }>()
  const lost = new Set<string>()
  const unstored = new Map<string, Buffer>()
  const keep = (digest: string, fitted: FittedAsset): void => {
    known.set(digest, { fitted, card: cardOfFitted(digest, fitted) })
  }
  return {
    of: (digest) => known.get(digest)?.fitted,
    cardOf: (digest) => known.get(digest)?.card,
    isLost: (digest) => lost.has(digest),
    add(fitted) {
      const bytes = Buffer.from(packed(fitted))
      const digest = sha256Hex(bytes)
      // What is judged with is what a restart reads back.
      keep(digest, unpacked(bytes.toString('utf8')) as FittedAsset)
      if (blobs !== undefined) unstored.set(digest, bytes)
      return digest
    },
    async load(digest) {
      if (known.has(digest) || lost.has(digest) || blobs === undefined) return
      try {
        keep(digest, unpacked((await blobs.get(`sha256:${digest}`)).toString('utf8')) as FittedAsset)
      } catch (error) {
        if (!LOST_CODES.has(codeOf(error) ?? '')) throw error
        lost.add(digest)
        onLost?.(digest, error)
      }
    },
    async stored() {
      for (const [digest, bytes] of unstored) {
        await blobs?.put(bytes)
        unstored.delete(digest)
      }
    },
    forget: (digest) => void known.delete(digest),
  }
}

/** Another try brings nothing. */
const LOST_CODES: ReadonlySet<string> = new Set(['ANDON_BLOB_MISSING', 'ANDON_BLOB_CORRUPT'])
