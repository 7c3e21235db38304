// Making what the verifier checks: seals, keys and what is said about keys. No clock and no storage: both are handed in.

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { canonicalJson, leafOf, merkleRoot, sealDigest } from './verifier.ts'
import type { AuditRecord, KeyStatement, RangeSeal } from './verifier.ts'

export interface SealingKey {
  /** SHA-256 of the public key in SPKI form, hex. */
  readonly fingerprint: string
  /** SPKI in base64. */
  readonly publicKey: string
  sign(content: unknown): Buffer
  /** PKCS #8, for the file that keeps it. */
  pem(): string
}

/** A new Ed25519 key, or the one in a PEM. */
export const newKey = (pem?: string): SealingKey => {
  const key: KeyObject = pem === undefined ? generateKeyPairSync('ed25519').privateKey : createPrivateKey(pem)
  if (key.asymmetricKeyType !== 'ed25519') throw new RangeError(`Expected an Ed25519 key, found ${key.asymmetricKeyType}`)
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
  return {
    fingerprint: createHash('sha256').update(spki).digest('hex'),
    publicKey: spki.toString('base64'),
    sign: (content) => sign(null, Buffer.from(canonicalJson(content)), key),
    pem: () => key.export({ format: 'pem', type: 'pkcs8' }) as string,
  }
}

const stated = <T extends object>(by: SealingKey, said: T): T & { readonly signature: string } => ({
  ...said,
  signature: by.sign(said).toString('base64'),
})

/** `by` says that a key counts; a first key says so of itself. */
export const introduce = (key: SealingKey, by: SealingKey, atUs: number): KeyStatement =>
  stated(by, { type: 'key' as const, key: key.fingerprint, publicKey: key.publicKey, by: by.fingerprint, atUs })

/** `by` says that a key counts no more from offsets (by topic/partition) on; `keeps` names keys that it introduced and that still count. */
export const revoke = (
  key: string,
  by: SealingKey,
  atUs: number,
  from: Readonly<Record<string, number>>,
  keeps: readonly string[] = [],
): KeyStatement => stated(by, { type: 'revoked' as const, key, from, keeps, by: by.fingerprint, atUs })

export type RangeOf = Pick<RangeSeal, 'topic' | 'partition' | 'from' | 'to' | 'epoch' | 'ownedFrom' | 'atUs'>

/** Seals records, given by their field digests in log order, after the seal before. */
export const sealRange = (
  range: RangeOf,
  digests: readonly (readonly Uint8Array[])[],
  before: RangeSeal | undefined,
  key: SealingKey,
): { readonly seal: RangeSeal; readonly signature: Buffer } => {
  const seal: RangeSeal = {
    format: 'andon-seal-1',
    ...range,
    index: before === undefined ? 0 : before.index + 1,
    count: digests.length,
    root: merkleRoot(digests.map(leafOf)).toString('hex'),
    previous: before === undefined ? '' : sealDigest(before),
    signer: key.fingerprint,
  }
  return { seal, signature: key.sign(seal) }
}

/** RFC 3161: asks an authority for the time at which this seal existed, and for its certificate. */
export const timestampQuery = (seal: RangeSeal): Buffer =>
  Buffer.from(`3039020101` + `3031300d060960864801650304020105000420${sealDigest(seal)}` + `0101ff`, 'hex')

/** A record as the log hands it out, with bytes that outlive the fetch. */
export const auditRecord = (record: {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestampMs: number
  readonly key: string | null
  readonly value: Uint8Array | null
  headers(): Record<string, string>
}): AuditRecord => ({
  topic: record.topic,
  partition: record.partition,
  offset: record.offset,
  timestampMs: record.timestampMs,
  key: record.key === null ? null : Buffer.from(record.key),
  value: record.value === null ? null : Buffer.from(record.value),
  headers: Object.entries(record.headers())
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, value]) => [name, Buffer.from(value)] as const),
})
