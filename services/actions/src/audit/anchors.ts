// What is kept of seals outside of the cluster: a blob store of its own. Each seal has a list under its name - the seal and the field
// digests of its records - and so has each statement about a key. Written once; the same again changes nothing.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { canonicalJson, introduce, newKey, sealLine, timestampQuery } from '@andon/audit'
import type { RangeSeal, SealingKey, SignedSeal } from '@andon/audit'
import { AndonError, codeOf, openBlobs } from '@andon/kit'
import type { Blobs, Logger } from '@andon/kit'

const TIMESTAMP_TIMEOUT_MS = 10_000

/** The key of this process; a new one where the file is not there yet. It never leaves the file. */
export const loadKey = async (file: string): Promise<SealingKey> => {
  try {
    return newKey(await readFile(file, 'utf8'))
  } catch (error) {
    if (codeOf(error) !== 'ENOENT')
      throw new AndonError('ANDON_ACTIONS_AUDIT_KEY', `${file} is no Ed25519 key in PEM. Restore it, or set ACTIONS_AUDIT_KEY_FILE`, {
        cause: error,
      })
    const key = newKey()
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, key.pem(), { mode: 0o600, flag: 'wx' })
    return key
  }
}

const nameOf = (kind: 'seal' | 'time', { topic, partition }: RangeSeal, index: number): string => `${kind}-${topic}-${partition}-${index}`

export class Anchors {
  private readonly blobs: Blobs
  private constructor(blobs: Blobs) {
    this.blobs = blobs
  }

  /** Opens the folder and sees to it that the key is known there. */
  static async open(folder: string, key: SealingKey, atUs: number, logger: Logger): Promise<Anchors> {
    const blobs = await openBlobs(folder)
    const name = `key-${key.fingerprint}`
    if ((await blobs.held(name)) === undefined) {
      const { uri } = await blobs.put(Buffer.from(canonicalJson(introduce(key, key, atUs))))
      await blobs.hold(name, [uri])
      logger.warn({ fingerprint: key.fingerprint }, 'a new sealing key: give its fingerprint to whoever verifies')
    }
    return new Anchors(blobs)
  }

  /** How many of a partition's seals, counted from the first, are anchored; `newest` is the last on the log. */
  async anchored(newest: RangeSeal): Promise<number> {
    for (let index = newest.index; index >= 0; index -= 1)
      if ((await this.blobs.held(nameOf('seal', newest, index))) !== undefined) return index + 1
    return 0
  }

  async put(sealed: SignedSeal, digestLines: readonly string[]): Promise<void> {
    const seal = await this.blobs.put(Buffer.from(sealLine(sealed)))
    const digests = await this.blobs.put(Buffer.from(digestLines.map((line) => `${line}\n`).join('')))
    await this.blobs.hold(nameOf('seal', sealed.seal, sealed.seal.index), [seal.uri, digests.uri])
  }

  /** Whether an authority has said when the seal of that number existed, in the partition of `newest`. */
  async isStamped(newest: RangeSeal, index: number): Promise<boolean> {
    return (await this.blobs.held(nameOf('time', newest, index))) !== undefined
  }

  /** Has an authority say when the seal existed; where it has said so before, nothing is asked. */
  async stamp(seal: RangeSeal, authorityUrl: string): Promise<void> {
    if (await this.isStamped(seal, seal.index)) return
    const response = await fetch(authorityUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/timestamp-query' },
      body: new Uint8Array(timestampQuery(seal)),
      signal: AbortSignal.timeout(TIMESTAMP_TIMEOUT_MS),
    })
    const token = Buffer.from(await response.arrayBuffer())
    // status 0 and 1 of PKIStatusInfo: granted, granted with changes
    const isGranted = response.ok && /^30(82....|81..|..)30(82....|81..|..)02010[01]/.test(token.subarray(0, 12).toString('hex'))
    if (!isGranted)
      throw new AndonError('ANDON_ACTIONS_AUDIT_TIME', `${authorityUrl} gave no time-stamp (HTTP ${response.status})`, { retriable: true })
    const { uri } = await this.blobs.put(token)
    await this.blobs.hold(nameOf('time', seal, seal.index), [uri])
  }
}
