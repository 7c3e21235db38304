// The owner's seals over one partition: what it has counted since the last seal is read again as bytes, sealed, said on the log
// (RangeSealed) and anchored. The log is the only memory: whoever takes the partition goes on from the last seal that counts, so a
// kill leaves no gap, and a seal of an owner who has lost the partition is void like any other of its facts.

import { setTimeout as delay } from 'node:timers/promises'
import { auditRecord, canonicalJson, digestLine, fieldDigests, sealRange } from '@andon/audit'
import type { RangeSeal, SealingKey, SignedSeal } from '@andon/audit'
import type { Entry } from '@andon/decisions'
import { fact } from '@andon/decisions'
import { decodedOr, recordsIn } from '@andon/kit'
import type { Codec, Counter, Log, Logger } from '@andon/kit'
import type { Actions } from '@andon/schemas'
import { ACTIONS } from '../actions-log.ts'
import type { PartitionOwner } from '../owner.ts'
import type { Anchors } from './anchors.ts'

const LOOK_EVERY_MS = 1_000
const LONGEST_PAUSE_MS = 60_000
/** What an idle owner writes by itself asks for no seal; it is sealed with what comes next. */
const QUIET = new Set(['RangeSealed', 'OwnershipRestated', 'OwnershipTaken'])

export interface AuditorDeps {
  readonly log: Log
  readonly codec: Codec
  readonly partition: number
  readonly key: SealingKey
  readonly anchors: Anchors
  readonly everyRecords: number
  readonly everyMs: number
  readonly authorityUrl: string | null
  readonly nowUs: () => number
  readonly sealed: Counter
  readonly logger: Logger
}

export class PartitionAuditor {
  private readonly deps: AuditorDeps
  private ownership = { epoch: 0, ownedFrom: 0 }
  private last: RangeSeal | undefined
  /** Offsets of the seals that count, by their index. */
  private readonly sealOffsets: number[] = []
  private unsealed: { readonly offset: number; readonly appendedUs: number }[] = []
  private anchored: number | undefined
  private unstamped: RangeSeal[] = []
  private work: Promise<void> = Promise.resolve()
  private readonly stopping = new AbortController()

  constructor(deps: AuditorDeps) {
    this.deps = deps
  }

  /** Every record that counted, in log order. */
  note({ record, offset, appendedUs }: Entry): void {
    if (record.type === 'OwnershipTaken') this.ownership = { epoch: record.epoch ?? 0, ownedFrom: offset }
    if (record.type === 'RangeSealed' && record.rangeSeal) {
      const seal = JSON.parse(record.rangeSeal.body) as RangeSeal
      this.last = seal
      this.sealOffsets.push(offset)
      this.unsealed = this.unsealed.filter((one) => one.offset >= seal.to)
    }
    if (!QUIET.has(record.type)) this.unsealed.push({ offset, appendedUs })
  }

  start(owner: PartitionOwner): void {
    this.work = this.run(owner)
  }

  private async run(owner: PartitionOwner): Promise<void> {
    for (let pauseMs = LOOK_EVERY_MS; ;) {
      await delay(pauseMs, undefined, { signal: this.stopping.signal }).catch(() => {}) // stopped
      if (this.stopping.signal.aborted) return
      try {
        await this.look(owner)
        pauseMs = LOOK_EVERY_MS
      } catch (error) {
        this.deps.logger.warn({ err: error, partition: this.deps.partition }, 'not sealed or not anchored, trying again')
        pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * pauseMs)
      }
    }
  }

  /** Ends after the seal in hand. */
  async stop(): Promise<void> {
    this.stopping.abort()
    await this.work
  }

  /** One look: seals what is due, anchors what is not, asks for the times that are missing. */
  async look(owner: PartitionOwner): Promise<void> {
    if (owner.epoch === 0) return
    while (!this.stopping.signal.aborted && this.isDue() && (await this.seal(owner)));
    await this.anchor()
    while (this.deps.authorityUrl !== null && this.unstamped[0]) {
      await this.deps.anchors.stamp(this.unstamped[0], this.deps.authorityUrl)
      this.unstamped.shift()
    }
  }

  private isDue(): boolean {
    const [oldest] = this.unsealed
    if (!oldest) return false
    const { everyRecords, everyMs, nowUs } = this.deps
    return this.unsealed.length >= everyRecords || nowUs() - oldest.appendedUs >= everyMs * 1000
  }

  /** False when the partition was lost meanwhile: nothing was sealed. */
  private async seal(owner: PartitionOwner): Promise<boolean> {
    const { partition, key, everyRecords, nowUs, sealed, logger } = this.deps
    const { ownership, last } = this
    const { epoch } = owner
    if (epoch === 0 || epoch !== ownership.epoch) return false
    const range = { topic: ACTIONS, partition, from: last?.to ?? 0, to: this.unsealed[everyRecords]?.offset ?? owner.log.position }
    const digests = await this.digests(range)
    const made = sealRange(
      { ...range, ...ownership, atUs: nowUs() },
      digests.map((one) => one.digests),
      last,
      key,
    )
    const rangeSeal = { body: canonicalJson(made.seal), signature: made.signature }
    const line = `partition-${partition}`
    await owner.note((atUs) =>
      owner.epoch === epoch && this.last === last ? [fact('RangeSealed', line, atUs, [made.seal.index, epoch], { rangeSeal })] : [],
    )
    if (this.last === last) return false
    sealed.inc()
    logger.info({ partition, index: made.seal.index, from: range.from, to: range.to }, 'range sealed')
    return true
  }

  private async digests({ from, to }: { readonly from: number; readonly to: number }) {
    const digests: { readonly offset: number; readonly digests: Buffer[] }[] = []
    for await (const record of recordsIn(this.deps.log, ACTIONS, this.deps.partition, from, to))
      digests.push({ offset: record.offset, digests: fieldDigests(auditRecord(record)) })
    return digests
  }

  private async anchor(): Promise<void> {
    const { anchors, authorityUrl } = this.deps
    if (!this.last) return
    this.unstamped = this.anchored === undefined ? [] : this.unstamped
    if (this.anchored === undefined) {
      const anchored = await anchors.anchored(this.last)
      // what an owner before could not have stamped any more
      for (let index = authorityUrl === null ? -1 : anchored - 1; index >= 0; index -= 1) {
        if (await anchors.isStamped(this.last, index)) break
        this.unstamped.unshift((await this.sealAt(this.sealOffsets[index]!)).seal)
      }
      this.anchored = anchored
    }
    for (; this.anchored < this.sealOffsets.length; this.anchored += 1) {
      const sealed = await this.sealAt(this.sealOffsets[this.anchored]!)
      const digests = await this.digests(sealed.seal)
      await anchors.put(
        sealed,
        digests.map((one) => digestLine(one.offset, one.digests)),
      )
      if (authorityUrl !== null) this.unstamped.push(sealed.seal)
    }
  }

  private async sealAt(offset: number): Promise<SignedSeal> {
    const { log, codec, partition } = this.deps
    for await (const record of recordsIn(log, ACTIONS, partition, offset, offset + 1)) {
      const { rangeSeal } = (await decodedOr<Actions>(codec, record)) ?? {}
      if (rangeSeal) return { offset, seal: JSON.parse(rangeSeal.body) as RangeSeal, signature: rangeSeal.signature.toString('base64') }
    }
    throw new RangeError(`actions/${partition} has no seal at ${offset}`)
  }
}
