// Telemetry blocks without record objects: a reader that is moved from record to record and hands out numbers, and copies
// samples and times straight into typed arrays. For whoever reads waveforms by the million samples.

import { compileColumns } from './columns.ts'
import type { Columns, Ranges } from './columns.ts'
import { AvroError } from './errors.ts'
import { frameBytes, readFrame, undecodable, undecodableBy } from './frame.ts'
import { Layouts } from './layouts.ts'
import type { BlockLayout } from './layouts.ts'
import { FieldStrings } from './strings.ts'

/** Where schemas of writers come from; an AvroCodec is one. */
export interface WriterSchemas {
  writerSchema(topic: string, id: number): Promise<object>
}

/** Columns of one writer's records, one row long. */
interface Writer {
  readonly columns: Columns
  readonly numbers: Readonly<Record<(typeof numbers)[number], Float64Array>>
  readonly ranges: Readonly<Record<(typeof ranges)[number], Ranges>>
}

const numbers = ['epoch', 'seqFrom', 'seqTo', 'rows', 'width', 'receivedUs'] as const
const ranges = ['assetId', 'sourceId', 'channels', 'units', 'dtype', 'samples', 'timesUs'] as const

const maxWriters = 200
const NOTHING = Buffer.alloc(0)

/**
 * Stands on one block at a time; what it says holds until the next read, and as long as the bytes that were read stay as
 * they are.
 */
export class BlockReader {
  epoch = 0
  /** First and last sequence number, inclusive. */
  seqFrom = 0
  seqTo = 0
  rows = 0
  /** Elements per channel and row. */
  width = 0
  /** Microseconds UTC. */
  receivedUs = 0
  /** Elements of all channels: rows · width · channels. */
  sampleCount = 0
  /** Equal layouts are one object. */
  layout: BlockLayout = { channels: [], units: [], dtype: 'f32' }

  private readonly schemas: WriterSchemas
  private readonly writers = new Map<number, Writer>()
  private readonly layouts = new Layouts()
  private readonly assets = new FieldStrings()
  private readonly sources = new FieldStrings()
  private source: Buffer = NOTHING
  private view: DataView = new DataView(NOTHING.buffer)
  /** The memory samples were last copied to, as bytes. */
  private target: Uint8Array = NOTHING
  private standing: Writer['ranges'] | undefined
  private samplesAt = 0
  private timesAt = 0

  constructor(schemas: WriterSchemas) {
    this.schemas = schemas
  }

  get assetId(): string {
    return this.text(this.standing?.assetId, this.assets)
  }

  get sourceId(): string {
    return this.text(this.standing?.sourceId, this.sources)
  }

  /**
   * Moves to the framed record in bytes[at, end). False when it is no block, a tick for instance: that one is for the
   * codec. Throws the codec's errors; ANDON_CODEC_UNKNOWN_SCHEMA goes away with readAsync, once per writer.
   */
  read(topic: string, bytes: Buffer, at: number, end: number): boolean {
    const id = readFrame(topic, bytes, at, end)
    const writer = this.writers.get(id)
    if (writer === undefined) throw undecodable('ANDON_CODEC_UNKNOWN_SCHEMA', topic, `schema ${id} is not known yet`)
    try {
      writer.columns.clear()
      writer.columns.add(bytes, at + frameBytes, end)
      return this.stand(writer, bytes)
    } catch (error) {
      throw undecodableBy(topic, error)
    }
  }

  /** As read; asks for a writer's schema that is not known yet. */
  async readAsync(topic: string, bytes: Buffer, at: number, end: number): Promise<boolean> {
    const id = readFrame(topic, bytes, at, end)
    if (!this.writers.has(id)) this.learn(id, await this.schemas.writerSchema(topic, id))
    return this.read(topic, bytes, at, end)
  }

  /** Samples as packed, in an array of their own. */
  samples(): Float32Array | Float64Array {
    const copied = this.layout.dtype === 'f32' ? new Float32Array(this.sampleCount) : new Float64Array(this.sampleCount)
    this.samplesInto(copied, 0)
    return copied
  }

  /** Copies the samples, channel-major [channel][row][width], to target[at…]; returns the position after them. Throws a RangeError when they do not fit. */
  samplesInto(target: Float32Array | Float64Array, at: number): number {
    const { samplesAt, sampleCount, view } = this
    const isSingle = this.layout.dtype === 'f32'
    const elementBytes = isSingle ? 4 : 8
    if (at + sampleCount > target.length) throw new RangeError(`${sampleCount} samples do not fit into ${target.length - at} elements`)
    if (target.BYTES_PER_ELEMENT === elementBytes) {
      if (this.target.buffer !== target.buffer) this.target = new Uint8Array(target.buffer)
      this.source.copy(this.target, target.byteOffset + at * elementBytes, samplesAt, samplesAt + sampleCount * elementBytes)
    } else if (isSingle) for (let i = 0; i < sampleCount; i += 1) target[at + i] = view.getFloat32(samplesAt + i * 4, true)
    else for (let i = 0; i < sampleCount; i += 1) target[at + i] = view.getFloat64(samplesAt + i * 8, true)
    return at + sampleCount
  }

  /** Copies the source time of each row, microseconds UTC, to target[at…]; returns the position after them. Throws a RangeError when they do not fit. */
  timesInto(target: Float64Array, at: number): number {
    const { timesAt, rows, view } = this
    if (at + rows > target.length) throw new RangeError(`${rows} times do not fit into ${target.length - at} elements`)
    for (let i = 0; i < rows; i += 1)
      target[at + i] = view.getInt32(timesAt + i * 8 + 4, true) * 2 ** 32 + view.getUint32(timesAt + i * 8, true)
    return at + rows
  }

  private stand({ numbers: n, ranges: r }: Writer, bytes: Buffer): boolean {
    const rows = n.rows[0] as number
    if (Number.isNaN(rows)) return false
    if (this.source !== bytes) {
      this.source = bytes
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    }
    this.standing = r
    this.epoch = n.epoch[0] as number
    this.seqFrom = n.seqFrom[0] as number
    this.seqTo = n.seqTo[0] as number
    this.rows = rows
    this.width = n.width[0] as number
    this.receivedUs = n.receivedUs[0] as number
    this.layout = this.layouts.of(bytes, this.view, r)
    this.sampleCount = rows * this.width * this.layout.channels.length
    this.samplesAt = r.samples.at[0] as number
    this.timesAt = r.timesUs.at[0] as number
    const sampleBytes = this.sampleCount * (this.layout.dtype === 'f32' ? 4 : 8)
    if (r.samples.length[0] !== sampleBytes || r.timesUs.length[0] !== rows * 8)
      throw new AvroError(
        'undecodable',
        `a block of ${rows} rows has ${r.samples.length[0]} bytes of samples and ${r.timesUs.length[0]} of times`,
      )
    return true
  }

  private text(range: Ranges | undefined, strings: FieldStrings): string {
    return range === undefined ? '' : strings.read(this.source, range.at[0] as number, range.length[0] as number)
  }

  private learn(id: number, schema: object): void {
    const columns = compileColumns(schema, { numbers: numbers.map(pathOf), ranges: ranges.map(pathOf) })
    const [oldest] = this.writers.keys()
    if (this.writers.size >= maxWriters && oldest !== undefined) this.writers.delete(oldest)
    this.writers.set(id, {
      columns,
      numbers: byName(numbers, (name) => columns.numbers(pathOf(name))),
      ranges: byName(ranges, (name) => columns.ranges(pathOf(name))),
    })
  }
}

const pathOf = (name: string): string => (name === 'assetId' ? name : `block.${name}`)

const byName = <N extends string, T>(names: readonly N[], value: (name: N) => T): Record<N, T> =>
  Object.fromEntries(names.map((name) => [name, value(name)])) as Record<N, T>
