// Verifies an audit export with nothing but Node: no network, no other file of Andon. An export carries this file as verify.mjs, so
// everything a verdict rests on stands here, to be read from top to bottom.
//
// A record's fields are digested one by one; its leaf is the digest of those; a Merkle root stands over the leaves of a range; the
// owner of the partition signs the root together with the digest of the seal before it. So a changed record is named with its
// field, and a value that had to be erased can still be proved by its digest.

import { createHash, createPublicKey, verify } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A record as it lies on the log. Headers are sorted by name. */
export interface AuditRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestampMs: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly (readonly [string, Uint8Array])[]
}

/** What an owner signs about the records [from, to) of a partition. */
export interface RangeSeal {
  readonly format: 'andon-seal-1'
  readonly topic: string
  readonly partition: number
  /** 0, 1, 2 … in each partition. */
  readonly index: number
  readonly from: number
  /** Exclusive; where the next seal goes on. */
  readonly to: number
  /** Records in the range. */
  readonly count: number
  /** Merkle root over the records' leaves, hex. */
  readonly root: string
  /** Digest of the seal before, hex; empty for the first. */
  readonly previous: string
  /** Ownership under which it was sealed: its epoch, and the offset of the record that took it. */
  readonly epoch: number
  readonly ownedFrom: number
  /** Fingerprint of the key that signs. */
  readonly signer: string
  readonly atUs: number
}

export interface SignedSeal {
  /** Where the seal itself lies in the partition. */
  readonly offset: number
  readonly seal: RangeSeal
  /** Ed25519 over the canonical JSON of `seal`, base64. */
  readonly signature: string
}

/** A line of keys.jsonl: a key, introduced by another or by itself, or the end of trust in one. */
export type KeyStatement = {
  /** Fingerprint: SHA-256 of the public key in SPKI form, hex. */
  readonly key: string
  /** Fingerprint of the key that says so. */
  readonly by: string
  readonly atUs: number
  readonly signature: string
} & (
  | { readonly type: 'key'; readonly publicKey: string }
  /** `from`: first offset, by topic/partition, that the key no longer seals; 0 where none is given. `keeps`: keys it introduced that still count. */
  | { readonly type: 'revoked'; readonly from: Readonly<Record<string, number>>; readonly keeps: readonly string[] }
)

export interface Manifest {
  readonly format: 'andon-audit-1'
  /** True: up to the log's end as of the export. False: an earlier end was asked for. */
  readonly toEnd: boolean
  readonly partitions: readonly {
    readonly topic: string
    readonly partition: number
    readonly from: number
    readonly to: number
  }[]
  /** SHA-256 (hex) of every other file. */
  readonly files: Readonly<Record<string, string>>
}

export interface Problem {
  readonly problem: string
  /** topic/partition, or the file. */
  readonly where: string
  readonly offset: number | null
  readonly field: string | null
  readonly message: string
}

export interface Verdict {
  readonly isWhole: boolean
  readonly problems: readonly Problem[]
  readonly partitions: readonly {
    readonly partition: string
    readonly sealed: number
    readonly seals: number
    /** Records after the last seal: nothing is proved about them yet. */
    readonly unsealed: number
    /** First seal of the export; its predecessor is outside. */
    readonly startsAtSeal: number | null
  }[]
  readonly signers: readonly string[]
  readonly notes: readonly string[]
}

export interface VerifyOptions {
  /** Fingerprints known from elsewhere. Without them the first key of the export is believed, and the verdict says so. */
  readonly keys?: readonly string[]
  /** What the owners anchored, outside of the cluster and of the export. */
  readonly anchors?: Files
}

/** Contents by path within a folder. */
export type Files = ReadonlyMap<string, Buffer>

export const filesIn = (folder: string): Files =>
  new Map(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path.slice(join(folder, '/').length), readFileSync(path)]),
  )

const FIELDS = ['topic', 'partition', 'offset', 'timestampMs', 'key', 'value', 'headers'] as const
/** Header ce_type of a record that carries a seal. */
export const SEAL_TYPE = 'RangeSealed'

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const digest = createHash('sha256')
  for (const part of parts) digest.update(part)
  return digest.digest()
}
const hexDigest = (content: Uint8Array | string): string => createHash('sha256').update(content).digest('hex')

/** JSON with sorted keys and no spaces (RFC 8785). The same as in the kit; this file stands alone. */
export const canonicalJson = (value: unknown): string => {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  const entries = Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1))
  return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${canonicalJson(each)}`).join(',')}}`
}

/** Length (int32, big-endian; -1: none), then the bytes. */
const prefixed = (field: string | Uint8Array | null): Buffer => {
  const bytes = typeof field === 'string' ? Buffer.from(field) : field
  const length = Buffer.alloc(4)
  length.writeInt32BE(bytes?.length ?? -1)
  return bytes === null ? length : Buffer.concat([length, bytes])
}

/** SHA-256 of each length-prefixed field, in the order of FIELDS. */
export const fieldDigests = (record: AuditRecord): Buffer[] =>
  FIELDS.map((name) => {
    if (name === 'headers') return sha256(...record.headers.flatMap(([header, value]) => [prefixed(header), prefixed(value)]))
    const field = record[name]
    return sha256(prefixed(typeof field === 'number' ? String(field) : field))
  })

const LEAF = Buffer.of(0)
const NODE = Buffer.of(1)
export const leafOf = (digests: readonly Uint8Array[]): Buffer => sha256(LEAF, ...digests)

/** As in RFC 6962: the left subtree is the largest full one; leaves and nodes cannot be taken for each other. */
export const merkleRoot = (leaves: readonly Uint8Array[]): Buffer => {
  if (leaves.length === 0) return sha256()
  let level = leaves
  while (level.length > 1)
    level = Array.from({ length: Math.ceil(level.length / 2) }, (_, at) => {
      const [left, right] = [level[2 * at]!, level[2 * at + 1]]
      return right ? sha256(NODE, left, right) : left
    })
  return Buffer.from(level[0]!)
}

export const sealDigest = (seal: RangeSeal): string => hexDigest(canonicalJson(seal))

const base64 = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString('base64'))
export const recordLine = (record: AuditRecord): string =>
  canonicalJson({
    ...record,
    key: base64(record.key),
    value: base64(record.value),
    headers: record.headers.map(([name, value]) => [name, base64(value)]),
  })
export const digestLine = (offset: number, digests: readonly Uint8Array[]): string =>
  canonicalJson({ offset, digests: digests.map((digest) => base64(digest)) })
export const sealLine = ({ offset, seal, signature }: SignedSeal): string => canonicalJson({ offset, seal, signature })

interface Digested {
  readonly offset: number
  readonly digests: readonly Buffer[]
}

const bytesOf = (text: unknown): Buffer => Buffer.from(text as string, 'base64')
const recordIn = (line: string): AuditRecord => {
  const { topic, partition, offset, timestampMs, key, value, headers } = JSON.parse(line) as Record<string, unknown>
  return {
    topic: topic as string,
    partition: partition as number,
    offset: offset as number,
    timestampMs: timestampMs as number,
    key: key === null ? null : bytesOf(key),
    value: value === null ? null : bytesOf(value),
    headers: (headers as [string, string][]).map(([name, each]) => [name, bytesOf(each)]),
  }
}
const digestsIn = (line: string): Digested => {
  const { offset, digests } = JSON.parse(line) as { offset: number; digests: string[] }
  return { offset, digests: digests.map(bytesOf) }
}
const sealIn = (line: string): SignedSeal => {
  const one = JSON.parse(line) as SignedSeal
  if (typeof one.seal.index !== 'number') throw new TypeError('no seal')
  return one
}
const statementIn = (line: string): KeyStatement => {
  const one = JSON.parse(line) as KeyStatement
  const isOne = one.type === 'key' ? typeof one.publicKey === 'string' : typeof one.from === 'object' && Array.isArray(one.keeps)
  if (!isOne || typeof one.by !== 'string' || typeof one.key !== 'string') throw new TypeError('no statement about a key')
  return one
}
/** Only what the format has: anything else is printed differently. */
const manifestIn = (text: string): Manifest => {
  const { format, toEnd, partitions, files } = JSON.parse(text) as Manifest
  return { format, toEnd, partitions: partitions.map(({ topic, partition, from, to }) => ({ topic, partition, from, to })), files }
}

class Findings {
  readonly problems: Problem[] = []
  readonly notes: string[] = []

  add(problem: string, where: string, message: string, offset: number | null = null, field: string | null = null): void {
    this.problems.push({ problem, where, offset, field, message })
  }
}

/** Lines that are exactly what this format writes; any other is a finding, named by the place where it stands. */
const readLines = <T>(files: Files, file: string, parse: (line: string) => T, print: (value: T) => string, found: Findings): T[] => {
  const content = files.get(file)
  if (!content) {
    found.add('missing file', file, `${file} is not there`)
    return []
  }
  const lines = content.toString('utf8').split('\n')
  if (lines.pop() !== '') found.add('cut off', file, `${file} does not end with a line end`)
  return lines.flatMap((line, at) => {
    try {
      const value = parse(line)
      if (print(value) === line) return [value]
    } catch {
      // said below
    }
    const near = /"offset":(\d+)/.exec(line)?.[1]
    found.add('unreadable', file, `Line ${at + 1} is not what was written there`, near === undefined ? null : Number(near), 'line')
    return []
  })
}

const keyOf = (publicKey: string) => createPublicKey({ key: bytesOf(publicKey), format: 'der', type: 'spki' })
const isSigned = (content: unknown, signature: string, publicKey: string): boolean => {
  try {
    const bytes = bytesOf(signature)
    return bytes.toString('base64') === signature && verify(null, Buffer.from(canonicalJson(content)), keyOf(publicKey), bytes)
  } catch {
    return false
  }
}

interface Keyring {
  readonly trusted: ReadonlyMap<string, string>
  /** First offset, by topic/partition, that a revoked key no longer seals. */
  readonly revoked: ReadonlyMap<string, (partition: string) => number>
}

/**
 * Keys that count: those named by the reader, and those that a key which counts has introduced. A revocation counts when a key says so
 * whose own standing does not rest on the revoked one: a thief of a key can revoke nothing but by that key's word.
 */
const keyring = (statements: readonly KeyStatement[], named: readonly string[], found: Findings): Keyring => {
  const publicKeys = new Map<string, string>()
  for (const each of statements)
    if (each.type === 'key' && hexDigest(bytesOf(each.publicKey)) === each.key) publicKeys.set(each.key, each.publicKey)
  const valid = statements.filter((statement) => {
    const { signature, ...said } = statement
    const by = publicKeys.get(statement.by)
    if (by !== undefined && publicKeys.has(statement.key) && isSigned(said, signature, by)) return true
    found.add('key', 'keys.jsonl', `What ${statement.by.slice(0, 16)} says about key ${statement.key.slice(0, 16)} is not signed by it`)
    return false
  })
  let roots = named
  if (named.length === 0) {
    const first = valid.find(({ type, key, by }) => type === 'key' && key === by)
    roots = first ? [first.key] : []
    if (first)
      found.notes.push(`No key was named: the first one of the export, ${first.key}, is believed. Compare it with what the plant says.`)
  }
  for (const key of named) if (!publicKeys.has(key)) found.add('key', 'keys.jsonl', `The named key ${key} is not in the export`)
  const closure = (counts: (introducer: string, key: string) => boolean): Set<string> => {
    const trusted = new Set(roots.filter((key) => publicKeys.has(key)))
    for (let before = -1; before !== trusted.size;) {
      before = trusted.size
      for (const { type, key, by } of valid) if (type === 'key' && trusted.has(by) && counts(by, key)) trusted.add(key)
    }
    return trusted
  }
  const revocations = valid.filter((one) => one.type === 'revoked')
  const accepted = revocations.filter(({ key, by }) => by !== key && closure((introducer) => introducer !== key).has(by))
  for (const one of revocations)
    if (!accepted.includes(one))
      found.add('key', 'keys.jsonl', `The revocation of ${one.key.slice(0, 16)} does not count: ${one.by.slice(0, 16)} may not say so`)
  const trusted = closure((introducer, key) => accepted.every((one) => one.key !== introducer || one.keeps.includes(key)))
  return {
    trusted: new Map([...trusted].map((key) => [key, publicKeys.get(key) ?? ''])),
    revoked: new Map(
      accepted.map(({ key }) => [
        key,
        (partition) => Math.min(...accepted.filter((one) => one.key === key).map((one) => one.from[partition] ?? 0)),
      ]),
    ),
  }
}

/** Says everything in an export that is not as it was sealed. */
export const verifyExport = (files: Files, options: VerifyOptions = {}): Verdict => {
  const found = new Findings()
  const manifest = readManifest(files, found)
  const statements = readLines(files, 'keys.jsonl', statementIn, canonicalJson, found)
  const keys = keyring(statements, options.keys ?? [], found)
  const signers = new Set<string>()
  const partitions = (manifest?.partitions ?? []).map((range) => {
    const name = `${range.topic}/${range.partition}`
    const file = `${range.topic}-${range.partition}.jsonl`
    const records = readLines(files, `records/${file}`, recordIn, recordLine, found)
    const digests = readLines(files, `digests/${file}`, digestsIn, (one) => digestLine(one.offset, one.digests), found)
    const signed = readLines(files, `seals/${file}`, sealIn, sealLine, found)
    inOrder(name, records, found)
    for (const record of records)
      for (const field of ['topic', 'partition'] as const)
        if (record[field] !== range[field]) found.add('changed', name, `Record of ${String(record[field])}`, record.offset, field)
    const counted = countedSeals(name, signed, found)
    const anchored = options.anchors === undefined ? undefined : anchoredSeals(options.anchors, range.topic, range.partition, found)
    checkChain(name, counted, range, found)
    for (const one of counted) {
      checkSigner(name, one, keys, anchored, found)
      checkRange(name, one.seal, records, digests, found)
      checkToken(files, one, found)
      signers.add(one.seal.signer)
    }
    checkSealRecords(name, records, signed, range, found)
    if (anchored) checkAnchors(name, counted, anchored, range, manifest?.toEnd ?? true, found)
    const first = counted[0]?.seal
    const sealedTo = counted.at(-1)?.seal.to ?? range.from
    checkEdges(name, records, range, first?.from ?? range.from, sealedTo, found)
    const unsealed = records.filter(({ offset }) => offset >= sealedTo).length
    return { partition: name, sealed: records.length - unsealed, seals: counted.length, unsealed, startsAtSeal: first?.index ?? null }
  })
  checkAnchoredPartitions(options.anchors, manifest, found)
  return { isWhole: found.problems.length === 0, problems: found.problems, partitions, signers: [...signers], notes: found.notes }
}

const readManifest = (files: Files, found: Findings): Manifest | undefined => {
  try {
    const text = files.get('manifest.json')?.toString('utf8') ?? ''
    const manifest = manifestIn(text)
    if (`${canonicalJson(manifest)}\n` !== text || manifest.format !== 'andon-audit-1') throw new TypeError('not what was written')
    for (const [file, digest] of Object.entries(manifest.files)) {
      const content = files.get(file)
      if (!content) found.add('missing file', file, `${file} is not there`)
      else if (hexDigest(content) !== digest) found.add('changed file', file, `${file} is not the file that the manifest names`)
    }
    for (const file of files.keys())
      if (file !== 'manifest.json' && !(file in manifest.files)) found.add('added file', file, `${file} is not in the manifest`)
    return manifest
  } catch (error) {
    found.add('unreadable', 'manifest.json', `The manifest cannot be read: ${(error as Error).message}`)
    return undefined
  }
}

const inOrder = (name: string, records: readonly AuditRecord[], found: Findings): void => {
  for (const [at, { offset }] of records.entries())
    if (at > 0 && offset <= records[at - 1]!.offset)
      found.add('out of order', name, `Record ${offset} stands after record ${records[at - 1]!.offset}`, offset)
}

/** A seal of an owner who had lost the partition before is on the log, but void: a later epoch, sealed itself, began before it. */
const countedSeals = (name: string, signed: readonly SignedSeal[], found: Findings): SignedSeal[] => {
  const counted = signed.filter(
    (one) => !signed.some(({ seal }) => seal.epoch > one.seal.epoch && seal.ownedFrom < one.offset && seal.index >= one.seal.index),
  )
  if (counted.length < signed.length)
    found.notes.push(`${name}: ${signed.length - counted.length} void seals of owners who had lost the partition`)
  return counted
}

const checkChain = (name: string, seals: readonly SignedSeal[], range: { topic: string; partition: number }, found: Findings): void => {
  for (const [at, { seal, offset }] of seals.entries()) {
    if (seal.topic !== range.topic || seal.partition !== range.partition)
      found.add('foreign seal', name, `Seal ${seal.index} is of ${seal.topic}/${seal.partition}`, offset)
    if (offset < seal.to) found.add('changed seal', name, `Seal ${seal.index} lies in the range that it seals`, offset)
    const before = seals[at - 1]?.seal
    if (!before) {
      if (seal.index === 0 && (seal.previous !== '' || seal.from !== 0))
        found.add('chain', name, 'The first seal does not begin at the beginning', offset)
      continue
    }
    if (seal.index === before.index) found.add('doubled seal', name, `Seal ${seal.index} stands there twice`, offset)
    else if (seal.index < before.index) found.add('out of order', name, `Seal ${seal.index} stands after seal ${before.index}`, offset)
    else if (seal.index > before.index + 1)
      found.add('missing seal', name, `Seals ${before.index + 1} to ${seal.index - 1} are missing`, before.to)
    else if (seal.from !== before.to || seal.previous !== sealDigest(before))
      found.add('chain', name, `Seal ${seal.index} does not continue seal ${before.index}`, offset)
  }
}

const checkSigner = (
  name: string,
  { seal, signature, offset }: SignedSeal,
  { trusted, revoked }: Keyring,
  anchored: ReadonlyMap<number, string> | undefined,
  found: Findings,
): void => {
  const publicKey = trusted.get(seal.signer)
  if (publicKey === undefined) return found.add('unknown key', name, `Seal ${seal.index} is signed by ${seal.signer}`, offset)
  if (!isSigned(seal, signature, publicKey)) return found.add('signature', name, `Seal ${seal.index} is not what was signed`, offset)
  const from = revoked.get(seal.signer)?.(name)
  if (from === undefined) return undefined
  if (seal.to > from) return found.add('revoked key', name, `Seal ${seal.index} is signed by a key revoked from offset ${from} on`, offset)
  if (anchored?.get(seal.index) !== sealDigest(seal))
    found.add('revoked key', name, `Seal ${seal.index} is signed by a key revoked later, and no anchor shows that it is older`, offset)
}

const inRange = <T extends { readonly offset: number }>(all: readonly T[], { from, to }: { from: number; to: number }): T[] =>
  all.filter(({ offset }) => offset >= from && offset < to)

const checkRange = (
  name: string,
  seal: RangeSeal,
  allRecords: readonly AuditRecord[],
  allDigests: readonly Digested[],
  found: Findings,
): void => {
  const records = inRange(allRecords, seal).map((record) => ({ offset: record.offset, digests: fieldDigests(record) }))
  const listed = inRange(allDigests, seal)
  const isRoot = (of: readonly Digested[]): boolean =>
    of.length === seal.count && merkleRoot(of.map(({ digests }) => leafOf(digests))).toString('hex') === seal.root
  const [areRecords, isList] = [isRoot(records), isRoot(listed)]
  if (areRecords && isList) return
  const before = found.problems.length
  // where the records are whole, it is the list of digests that is not
  const [what, expected, actual] = areRecords ? (['digest of ', records, listed] as const) : (['', listed, records] as const)
  const byOffset = new Map(expected.map((one) => [one.offset, one.digests]))
  for (const { offset, digests } of actual) {
    const sealed = byOffset.get(offset)
    if (!sealed) found.add('added', name, `${what}record ${offset} was not sealed`, offset)
    for (const [at, field] of FIELDS.entries())
      if (sealed && !digests[at]?.equals(sealed[at] ?? LEAF))
        found.add('changed', name, `${what}${field} of record ${offset} is not what was sealed`, offset, field)
  }
  const there = new Set(actual.map(({ offset }) => offset))
  for (const { offset } of expected) if (!there.has(offset)) found.add('gap', name, `${what}record ${offset} is missing`, offset)
  if (found.problems.length === before || !(areRecords || isList))
    found.add('changed', name, `Records ${seal.from} to ${seal.to - 1} do not give the root of seal ${seal.index}`, seal.from, 'root')
}

/** The time-stamp of a seal is about that seal; who issued it is for `openssl ts -verify` to say. */
const checkToken = (files: Files, { seal, offset }: SignedSeal, found: Findings): void => {
  const file = `tokens/${sealDigest(seal)}.tsr`
  const token = files.get(file)
  if (token && !token.includes(Buffer.from(`0420${sealDigest(seal)}`, 'hex')))
    found.add('time-stamp', file, `The time-stamp of seal ${seal.index} is of something else`, offset)
}

const checkSealRecords = (
  name: string,
  records: readonly AuditRecord[],
  signed: readonly SignedSeal[],
  range: { readonly from: number; readonly to: number },
  found: Findings,
): void => {
  const seals = new Map(signed.map((one) => [one.offset, one]))
  const isSealRecord = ({ headers }: AuditRecord): boolean =>
    headers.some(([header, value]) => header === 'ce_type' && Buffer.from(value).toString() === SEAL_TYPE)
  const [first] = signed
  for (const record of records) {
    // a range holds the seal before it; that of the first range is outside of an export that starts later
    if (!isSealRecord(record) || (first && first.seal.index > 0 && record.offset < first.offset)) continue
    const one = seals.get(record.offset)
    seals.delete(record.offset)
    if (!one) found.add('missing seal', name, `The seal at ${record.offset} is not among the seals`, record.offset)
    else if (!Buffer.from(record.value ?? []).includes(bytesOf(one.signature)))
      found.add('changed seal', name, `Seal ${one.seal.index} is not the one at ${record.offset}`, record.offset)
  }
  for (const { offset, seal } of seals.values())
    if (offset >= range.from && offset < range.to) found.add('gap', name, `The record of seal ${seal.index} is missing`, offset)
}

const checkEdges = (
  name: string,
  records: readonly AuditRecord[],
  { from, to }: { readonly from: number; readonly to: number },
  sealedFrom: number,
  sealedTo: number,
  found: Findings,
): void => {
  if (from !== sealedFrom) found.add('missing seal', name, `Records from ${from} to ${sealedFrom - 1} have no seal`, from)
  if (to < sealedTo) found.add('cut off', name, `Seals go up to ${sealedTo}, the export ends at ${to}`, to)
  const outside = records.find(({ offset }) => offset < from || offset >= to)
  if (outside) found.add('added', name, `Record ${outside.offset} is outside of the export's range`, outside.offset)
  const last = records.at(-1)?.offset ?? from - 1
  if (to > sealedTo && last < to - 1) found.add('cut off', name, `Records from ${last + 1} to ${to - 1} are missing at the end`, last + 1)
}

/** Digests by seal number, as the owners anchored them: a folder of contents by digest, and lists of them by name. */
const anchoredSeals = (files: Files, topic: string, partition: number, found: Findings): Map<number, string> => {
  const anchored = new Map<number, string>()
  const prefix = `holds/seal-${topic}-${partition}-`
  for (const [name, list] of files) {
    if (!name.startsWith(prefix)) continue
    try {
      const [uri = ''] = JSON.parse(list.toString('utf8')) as string[]
      const digest = uri.slice('sha256:'.length)
      const content = files.get(`${digest.slice(0, 2)}/${digest}`)
      if (!content || hexDigest(content) !== digest) throw new TypeError(`${digest} is not there or has another digest`)
      anchored.set(Number(name.slice(prefix.length, -'.json'.length)), sealDigest(sealIn(content.toString('utf8')).seal))
    } catch (error) {
      found.add('anchor', `${topic}/${partition}`, `Anchor ${name} cannot be read: ${(error as Error).message}`)
    }
  }
  return anchored
}

const checkAnchors = (
  name: string,
  seals: readonly SignedSeal[],
  anchored: ReadonlyMap<number, string>,
  { to }: { readonly to: number },
  toEnd: boolean,
  found: Findings,
): void => {
  for (const { seal, offset } of seals) {
    const anchor = anchored.get(seal.index)
    if (anchor === undefined) found.notes.push(`${name}: seal ${seal.index} is not anchored`)
    else if (anchor !== sealDigest(seal)) found.add('rewritten', name, `Seal ${seal.index} is not the one that was anchored`, offset)
  }
  const newest = Math.max(-1, ...anchored.keys())
  const last = seals.at(-1)?.seal.index ?? -1
  if (newest <= last) return
  if (toEnd) found.add('cut off', name, `Seals up to ${newest} were anchored, the export ends with ${last}`, to)
  else found.notes.push(`${name}: anchored seals ${last + 1} to ${newest} are after the end that was asked for`)
}

/** A partition that is gone altogether is named by its anchors. */
const checkAnchoredPartitions = (anchors: Files | undefined, manifest: Manifest | undefined, found: Findings): void => {
  const there = new Set(manifest?.partitions.map(({ topic, partition }) => `${topic}/${partition}`))
  const anchored = new Set<string>()
  for (const name of anchors?.keys() ?? []) {
    const [, topic, partition] = /^holds\/seal-(.+)-(\d+)-\d+\.json$/.exec(name) ?? []
    if (topic !== undefined && !there.has(`${topic}/${partition}`)) anchored.add(`${topic}/${partition}`)
  }
  for (const name of anchored)
    if (manifest?.toEnd === false) found.notes.push(`${name}: anchored, and nothing of it lies in the range that was asked for`)
    else found.add('cut off', name, 'Seals of it were anchored, the export has nothing of it')
}

/** The verdict in words; the last line says it all. */
export const verdictText = ({ isWhole, problems, partitions, signers, notes }: Verdict): string =>
  [
    ...partitions.map(
      ({ partition, sealed, seals, unsealed, startsAtSeal }) =>
        `${partition}: ${sealed} records under ${seals} seals${startsAtSeal === null || startsAtSeal === 0 ? '' : `, from seal ${startsAtSeal} on`}${unsealed === 0 ? '' : `; ${unsealed} after the last seal are unsealed`}`,
    ),
    ...signers.map((signer) => `signed by ${signer}`),
    ...notes,
    ...problems.map(
      ({ problem, where, offset, field, message }) =>
        `${problem.toUpperCase()} ${where}${offset === null ? '' : ` offset ${offset}`}${field === null ? '' : ` field ${field}`}: ${message}`,
    ),
    isWhole ? 'Everything sealed is what it was.' : `${problems.length} findings: this is not what was sealed.`,
  ].join('\n')

/** `node verify.mjs [folder] [--key <fingerprint>]… [--anchors <folder>]`; exit code 1 when something is not as it was sealed, 2 when there is no export. */
export const main = (words: readonly string[], here: string): number => {
  const keys: string[] = []
  let anchors: string | undefined
  let folder = here
  for (let at = 0; at < words.length; at += 1) {
    if (words[at] === '--key') keys.push(words[(at += 1)] ?? '')
    else if (words[at] === '--anchors') anchors = words[(at += 1)]
    else folder = words[at]!
  }
  const missing = [join(folder, 'manifest.json'), ...(anchors === undefined ? [] : [anchors])].find((path) => !existsSync(path))
  if (missing !== undefined) {
    console.error(`${missing} is not there. Usage: node verify.mjs [folder of an export] [--key <fingerprint>]… [--anchors <folder>]`)
    return 2
  }
  const verdict = verifyExport(filesIn(folder), { keys, ...(anchors === undefined ? {} : { anchors: filesIn(anchors) }) })
  console.log(verdictText(verdict))
  return verdict.isWhole ? 0 : 1
}
