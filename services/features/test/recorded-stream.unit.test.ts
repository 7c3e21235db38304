// One made-up day of a plant, with everything that happens in one: what became of it before becomes of it now, bit for bit.
// A vector that changes here would differ from its live one in every replay: that is a new feature set, not a fix.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { Block, Telemetry } from '@andon/schemas'
import { onTelemetry } from '../src/on-telemetry.ts'
import type { AssetPlan } from '../src/plan.ts'
import { keyedState, newMemory } from '../src/state.ts'
import { SECOND_US, blockRecord, modelPlan, plain, tickRecord } from './blocks.ts'
import { inputOf } from './one-asset.ts'

/** Whole numbers below `n`, the same ones in every run. */
const randomFrom = (seed: number) => {
  let state = seed
  return (n: number): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % n
  }
}
type Random = ReturnType<typeof randomFrom>

const CHANNELS = ['temperatureC', 'currentA', 'unusedV', 'vibrationG']
const planOf = (digest: string, windowUs: number): AssetPlan =>
  modelPlan({
    digest,
    windowUs,
    latenessUs: SECOND_US,
    graceUs: SECOND_US / 2,
    sources: ['plc', 'vib'],
    statistics: {
      temperatureC: ['mean', 'std', 'min', 'max', 'slope'],
      vibrationG: ['rms', 'kurtosis', 'crest', 'peak', 'bandRms'],
      currentA: ['max', 'mean'],
    },
    options: { bandsHz: [[10, 300]] },
    waveforms: { vibrationG: [1024, 32] },
  })
/** The feature set changes in the middle of the day; before its beginning the plant describes nothing. */
const [morning, evening] = [planOf('a'.repeat(64), SECOND_US), planOf('b'.repeat(64), 1.5 * SECOND_US)]
const planAt = (_asset: string, timeUs: number): AssetPlan | undefined =>
  timeUs < 2 * SECOND_US ? undefined : timeUs < 40 * SECOND_US ? morning : evening

interface Source {
  readonly id: string
  readonly isWaveform: boolean
  epoch: number
  next: number
  timeUs: number
}

/** The next block of a source: mostly plain, sometimes with everything a block may have. */
const blockOfSource = (source: Source, random: Random): Block => {
  const { isWaveform } = source
  const rows = isWaveform ? 1 + random(2) : 1 + random(12)
  const width = isWaveform ? 32 : 1
  const channels = isWaveform ? ['vibrationG'] : CHANNELS.slice(0, 1 + random(3))
  const dtype = random(6) === 0 ? 'f64' : 'f32'
  if (random(40) === 0) Object.assign(source, { epoch: source.epoch + 1, next: random(2) })
  if (random(30) === 0) source.next += random(20)
  const withheld: number[] = []
  const seqFrom = source.next
  for (let row = 0; row < rows; row++, source.next++) if (random(25) === 0) withheld.push(source.next++)
  const timesUs = Buffer.alloc(rows * 8)
  const startUs = source.timeUs
  for (let row = 0; row < rows; row++) {
    source.timeUs += isWaveform ? 40_000 : 10_000 + random(3) * 5000
    const jitterUs = random(50) === 0 ? -random(3_000_000) : 0
    timesUs.writeBigInt64LE(BigInt(source.timeUs + jitterUs), row * 8)
  }
  const samples = Buffer.alloc(channels.length * rows * width * (dtype === 'f32' ? 4 : 8))
  for (let i = 0; i < channels.length * rows * width; i++) {
    const value = random(400) === 0 ? Number.NaN : 20 + random(2000) / 97 - (random(9) === 0 ? 40 : 0)
    if (dtype === 'f32') samples.writeFloatLE(value, i * 4)
    else samples.writeDoubleLE(value, i * 8)
  }
  return {
    sourceId: source.id,
    epoch: source.epoch,
    seqFrom,
    seqTo: source.next - 1,
    withheld,
    rows: random(200) === 0 ? rows + 1 : rows, // now and then one that contradicts itself
    channels,
    units: channels.map(() => '1'),
    dtype,
    width,
    samples,
    timesUs,
    qualities: random(5) === 0 ? Buffer.from(Array.from({ length: rows }, () => random(3))) : Buffer.alloc(0),
    sampleRateHz: isWaveform ? (random(20) === 0 ? 512 : 1024) : null,
    sensitivity: null,
    recordedUs: random(8) === 0 ? Buffer.from(timesUs) : null,
    receivedUs: startUs + 200_000,
    historical: random(30) === 0,
    skewUs: 0,
    ...plain,
  }
}

const dayOf = (seed: number): Telemetry[] => {
  const random = randomFrom(seed)
  const day: Telemetry[] = []
  const held: Telemetry[] = []
  const sources = (asset: string): Source[] =>
    [`plc`, `vib`, `${asset}-spare`].map((id) => ({ id, isWaveform: id === 'vib', epoch: 1, next: random(2), timeUs: SECOND_US }))
  const plant = ['press-1', 'press-2'].map((asset) => ({ asset, sources: sources(asset) }))
  let tickedUs = 0
  for (let i = 0; i < 2500; i++) {
    const { asset, sources: own } = plant[random(2)]!
    const source = own[Math.min(2, random(5))]! // the spare one has more to say than the others
    const record = blockRecord(blockOfSource(source, random), asset)
    if (random(25) === 0) held.push(record) // a spool: comes later
    else day.push(record)
    if (random(60) === 0) day.push(...held.splice(0, random(6)))
    if (random(30) === 0) day.push(day[day.length - 1 - random(Math.min(20, day.length))]!) // sent again
    if (random(150) === 0)
      day.push(blockRecord({ ...record.block!, sourceId: `correction:${i}`, seqFrom: 1, seqTo: record.block!.rows, withheld: [] }, asset))
    const slowestUs = Math.min(...plant.flatMap(({ sources: all }) => all.map(({ timeUs }) => timeUs)))
    if (slowestUs > tickedUs + SECOND_US) {
      tickedUs = slowestUs
      day.push(tickRecord('ingest-0', slowestUs / SECOND_US))
    }
  }
  return [...day, ...held, tickRecord('ingest-0', 1e6)]
}

/** Digest over every output with its cause, what was counted, and how many outputs there were of each kind. */
const outcomeOf = async (day: readonly Telemetry[], batchSize: number, restoreEvery: number) => {
  const hash = createHash('sha256')
  const kinds: Record<string, number> = {}
  const rows: Record<string, number> = {}
  let malformed = 0
  const counts = {
    windowsClosed: () => {},
    unmonitored: () => {},
    rows: (outcome: string, count: number) => void (rows[outcome] = (rows[outcome] ?? 0) + count),
    malformed: () => void malformed++,
  }
  let memory = newMemory()
  const kept = new Map<string, Uint8Array>()
  for (let at = 0; at < day.length; at += batchSize) {
    const handle = onTelemetry({ memory, settled: async () => {}, servicedAt: () => null, planAt, gapBound: 8, counts })
    const inputs = day.slice(at, at + batchSize).map((value, i) => inputOf(value, at + i))
    const out = await handle({ topic: 'telemetry', partition: 0, inputs })
    for (const { cause, index, output } of out.outputs) {
      kinds[output.type] = (kinds[output.type] ?? 0) + 1
      const content = { offset: cause.position.offset, index, ...output }
      hash.update(JSON.stringify(content, (_, each: unknown) => (Buffer.isBuffer(each) ? each.toString('hex') : each)))
    }
    if ((at / batchSize) % restoreEvery !== restoreEvery - 1) continue
    const state = keyedState(memory)
    for (const key of state.dirty()) kept.set(key, Uint8Array.from(state.snapshot(key)))
    memory = newMemory()
    const into = keyedState(memory)
    for (const [key, bytes] of kept) into.restore(key, bytes, into.version)
  }
  return { digest: hash.digest('hex').slice(0, 32), kinds, rows, malformed }
}

test('a recorded day gives the vectors it gave when it was recorded, bit for bit', async () => {
  const digests = []
  for (const seed of [1, 22, 333]) digests.push((await outcomeOf(dayOf(seed), 64, Number.POSITIVE_INFINITY)).digest)
  assert.deepEqual(digests, ['98de5b40e21b8603b528d272880c08d3', '81309c5ea062827f6800396a7881b70b', '7e3949b9af4063ac558261bc9ec2f0dd'])
})

test('it gives them in batches of any size and with restarts', async () => {
  const day = dayOf(22)
  const whole = await outcomeOf(day, 64, Number.POSITIVE_INFINITY)
  assert.ok(whole.kinds['vector']! > 100 && whole.kinds['late']! > 10 && whole.malformed > 0, 'the day has something of everything')
  assert.deepEqual(await outcomeOf(day, 7, 5), whole)
})
