// andon audit: the log of decisions with its seals as a folder that anybody can verify, and the keys that seal.

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, readdir, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  auditRecord,
  canonicalJson,
  digestLine,
  exportReadme,
  fieldDigests,
  filesIn,
  introduce,
  newKey,
  recordLine,
  revoke,
  SEAL_TYPE,
  sealDigest,
  sealLine,
  standaloneVerifier,
  verdictText,
  verifyExport,
} from '@andon/audit'
import type { KeyStatement, RangeSeal, SignedSeal } from '@andon/audit'
import { decodedOr, HEADER, openBlobs, recordsIn } from '@andon/kit'
import type { Blobs, Codec, Log } from '@andon/kit'
import type { Actions } from '@andon/schemas'
import type { Context } from '../context.ts'
import { CommandError } from '../context.ts'
import { parseTimeMs } from '../data/when.ts'
import { EXIT } from '../exit.ts'
import { withLog } from '../kafka.ts'
import { print } from '../output.ts'
import { readingCodec } from './topics.ts'

const TOPIC = 'actions'

export interface AuditExportOptions {
  readonly from?: string
  readonly to?: string
  readonly out: string
  readonly anchors: string
  readonly json?: boolean
}

interface Range {
  readonly partition: number
  readonly from: number
  readonly to: number
  readonly seals: readonly SignedSeal[]
}

/** Writes whole sealed ranges that hold the asked-for time. Nothing is judged here: the export says what is on the log. */
export const exportAudit = async (context: Context, options: AuditExportOptions): Promise<void> => {
  const { out } = options
  if ((await readdir(out).catch(() => [])).length > 0) throw new CommandError(EXIT.usage, `--out: ${out} is not empty.`)
  const anchors = await openBlobs(options.anchors)
  const statements = await keyStatements(options.anchors, anchors)
  if (statements.length === 0)
    throw new CommandError(
      EXIT.failed,
      `--anchors: ${options.anchors} knows no sealing key. It is ACTIONS_AUDIT_DIR of the actions service.`,
    )
  const files = new Map<string, string | Buffer>([
    ['README.md', exportReadme()],
    ['verify.mjs', standaloneVerifier()],
    ['keys.jsonl', lines(statements.map(canonicalJson))],
  ])
  const ranges = await withLog(context, async (log) => {
    const found: Range[] = []
    const codec = await readingCodec(context)
    for (const { partition, low, high } of await log.admin.watermarks(TOPIC)) {
      const range = await rangeOf(log, codec, { partition, low, high }, options)
      if (range.from >= range.to) continue
      found.push(range)
      for (const [name, content] of await contents(log, anchors, range)) files.set(name, content)
    }
    return found
  })
  const manifest = {
    format: 'andon-audit-1',
    toEnd: options.to === undefined,
    partitions: ranges.map(({ partition, from, to }) => ({ topic: TOPIC, partition, from, to })),
    files: Object.fromEntries([...files].map(([name, content]) => [name, createHash('sha256').update(content).digest('hex')])),
  }
  files.set('manifest.json', `${canonicalJson(manifest)}\n`)
  for (const [name, content] of files) {
    await mkdir(dirname(join(out, name)), { recursive: true })
    await writeFile(join(out, name), content)
  }
  const seals = ranges.reduce((sum, range) => sum + range.seals.length, 0)
  print(options.json === true, { out, seals, partitions: manifest.partitions }, () =>
    [
      `${seals} seals over ${ranges.length} partitions in ${out}. Anybody with Node can check it:`,
      `  node ${join(out, 'verify.mjs')} --key <fingerprint> --anchors <folder>`,
      `Keys of the export: ${statements.map(({ key }) => key).join(', ')}`,
    ].join('\n'),
  )
}

const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join('')

/** What the anchors' folder says about keys, in the order in which it was said. */
const keyStatements = async (folder: string, anchors: Blobs): Promise<KeyStatement[]> => {
  const names = (await readdir(join(folder, 'holds')).catch(() => [])).filter((name) => /^(key|revoked)-/.test(name))
  const statements: KeyStatement[] = []
  for (const name of names)
    for (const uri of (await anchors.held(name.slice(0, -'.json'.length))) ?? [])
      statements.push(JSON.parse((await anchors.get(uri)).toString('utf8')) as KeyStatement)
  return statements.toSorted((a, b) => a.atUs - b.atUs)
}

const rangeOf = async (
  log: Log,
  codec: Codec,
  { partition, low, high }: { readonly partition: number; readonly low: number; readonly high: number },
  options: Pick<AuditExportOptions, 'from' | 'to'>,
): Promise<Range> => {
  const at = (option: '--from' | '--to', text: string | undefined, otherwise: number) =>
    text === undefined ? otherwise : log.admin.offsetAt(TOPIC, partition, parseTimeMs(option, text, Date.now()))
  const [askedFrom, askedTo] = [await at('--from', options.from, low), await at('--to', options.to, high)]
  const all: SignedSeal[] = []
  for await (const record of recordsIn(log, TOPIC, partition, low, high)) {
    if (record.header(HEADER.type) !== SEAL_TYPE) continue
    const { rangeSeal } = (await decodedOr<Actions>(codec, record)) ?? {}
    if (!rangeSeal) continue
    const seal = JSON.parse(rangeSeal.body) as RangeSeal
    all.push({ offset: record.offset, seal, signature: rangeSeal.signature.toString('base64') })
  }
  const from = all.findLast(({ seal }) => seal.from <= askedFrom)?.seal.from ?? low
  const to = options.to === undefined ? high : (all.find(({ seal }) => seal.to >= askedTo)?.seal.to ?? high)
  return { partition, from, to, seals: all.filter(({ seal }) => seal.from >= from && seal.to <= to) }
}

/** Records as they are on the log now; digests as they were kept when they were sealed, where they were kept. */
const contents = async (log: Log, anchors: Blobs, { partition, from, to, seals }: Range): Promise<[string, string | Buffer][]> => {
  const file = `${TOPIC}-${partition}.jsonl`
  const records: string[] = []
  const now: { readonly offset: number; readonly line: string }[] = []
  for await (const stored of recordsIn(log, TOPIC, partition, from, to)) {
    const record = auditRecord(stored)
    records.push(recordLine(record))
    now.push({ offset: record.offset, line: `${digestLine(record.offset, fieldDigests(record))}\n` })
  }
  const digests = new Map<number, string>()
  const tokens: [string, Buffer][] = []
  for (const { seal } of seals) {
    const [, kept] = (await anchors.held(`seal-${TOPIC}-${partition}-${seal.index}`)) ?? []
    const text = kept === undefined ? undefined : await anchors.get(kept).catch(() => undefined)
    const inRange = now.filter(({ offset }) => offset >= seal.from && offset < seal.to)
    digests.set(seal.index, text?.toString('utf8') ?? inRange.map(({ line }) => line).join(''))
    const [token] = (await anchors.held(`time-${TOPIC}-${partition}-${seal.index}`)) ?? []
    if (token !== undefined) tokens.push([`tokens/${sealDigest(seal)}.tsr`, await anchors.get(token)])
  }
  return [
    [`records/${file}`, lines(records)],
    [`digests/${file}`, [...digests.values()].join('')],
    [`seals/${file}`, lines(seals.map(sealLine))],
    ...tokens,
  ]
}

export interface AuditVerifyOptions {
  readonly key?: readonly string[]
  readonly anchors?: string
  readonly json?: boolean
}

/** The same verdict as the export's own verify.mjs. Ends with exit code 1 when something is not as it was sealed. */
export const verifyAudit = (folder: string, options: AuditVerifyOptions): void => {
  for (const path of [join(folder, 'manifest.json'), options.anchors ?? folder])
    if (!existsSync(path)) throw new CommandError(EXIT.usage, `${path} is not there. Name a folder that andon audit export wrote.`)
  const anchors = options.anchors === undefined ? {} : { anchors: filesIn(options.anchors) }
  const verdict = verifyExport(filesIn(folder), { keys: options.key ?? [], ...anchors })
  print(options.json === true, verdict, () => verdictText(verdict))
  if (!verdict.isWhole) throw new CommandError(EXIT.failed, `${verdict.problems.length} findings: this is not what was sealed.`)
}

export interface AuditKeyOptions {
  readonly keyFile: string
  readonly anchors: string
}

const say = async (folder: string, name: string, statement: KeyStatement): Promise<void> => {
  const anchors = await openBlobs(folder)
  const { uri } = await anchors.put(Buffer.from(canonicalJson(statement)))
  await anchors.hold(name, [uri])
}

/** Puts a new key in the file's place, introduced by the old one, which stays beside it. */
export const rotateKey = async ({ keyFile, anchors }: AuditKeyOptions): Promise<void> => {
  const old = newKey(await readFile(keyFile, 'utf8'))
  const next = newKey()
  await say(anchors, `key-${next.fingerprint}`, introduce(next, old, Date.now() * 1000))
  await writeFile(`${keyFile}.new`, next.pem(), { mode: 0o600, flag: 'wx' })
  await rename(keyFile, `${keyFile}.${old.fingerprint.slice(0, 16)}`)
  await rename(`${keyFile}.new`, keyFile)
  console.log(`${next.fingerprint} seals from the next start of the actions service on; ${old.fingerprint} introduced it.`)
}

/** Ends trust in a key from an offset of each partition on. */
export const revokeKey = async (
  key: string,
  { keyFile, anchors, from, keep }: AuditKeyOptions & { readonly from: readonly string[]; readonly keep?: readonly string[] },
): Promise<void> => {
  const by = newKey(await readFile(keyFile, 'utf8'))
  const places = from.map((text) => /^(\w+\/\d+)@(\d+)$/.exec(text))
  if (places.includes(null)) throw new CommandError(EXIT.usage, '--from: expected actions/<partition>@<offset>.')
  const offsets = Object.fromEntries(places.map((place) => [place?.[1] ?? '', Number(place?.[2])]))
  await say(anchors, `revoked-${key}-${by.fingerprint.slice(0, 16)}`, revoke(key, by, Date.now() * 1000, offsets, keep ?? []))
  console.log(`${key} is revoked by ${by.fingerprint}.`)
}
