// P20: from the POST of the sample that closes a window to the fact that answers its finding on `actions`, through every service, beside a
// relay of kafkajs with as many processes and topic writes and the same flush settings, which does no work. Both take turns
// on one broker: 50 assets, one sample a second each, on a schedule that waits for nobody. Times are those of the log (LogAppendTime).

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { followTopic, openCodec, openKafkaLog } from '@andon/kit'
import type { Log, RecordBatch } from '@andon/kit'
import type { Actions, Anomalies, Models } from '@andon/schemas'
import { Mesh, until } from '../../harness/mesh.ts'
import { type Measurement, load, notMeasured, rounded } from '../../harness/bench-measurement.ts'
import { median, quantile } from '../../harness/bench-statistics.ts'
import { closeDoor, post } from './door.ts'
import { assetId, writePlant } from './plant.ts'

const REQUIRED = { P20: 2, 'P20-p99': 3 } as const
const ASSETS = 50
const RATE = 50
const TURNS = 8
const TURN_MS = 10_000
/** Of a turn's start: sent, not measured. */
const WARM_MS = 2000
const LEARNING_WINDOWS = 80
const COMMISSIONING_WINDOWS = 60
const ANOMALY = 50
const FEATURES = {
  closes: 'every-row',
  windowRows: 2,
  latenessMs: 500,
  graceMs: 250,
  features: [{ channel: '*', statistics: ['last'] }],
}
const FLUSHED = { 'flush.messages': '1', 'message.timestamp.type': 'LogAppendTime' }
const SERVICES = ['door', '0>1', '1>2', '2>3', '3>4 4>4'] as const

const nowMs = (): number => performance.timeOrigin + performance.now()

/** What each sample of a turn took, ms; NaN where no answer came. */
type Turn = readonly number[]

interface Side {
  /** Sends the sample due now; its latency is known by its number. */
  send(asset: number): Promise<string>
  /** Log time of the answer, ms. */
  answeredMs(id: string): number | undefined
}

const takeTurn = async (side: Side): Promise<Turn> => {
  const startMs = nowMs() + 50
  const sent: { id: string; dueMs: number }[] = []
  const sends: Promise<void>[] = []
  for (let i = 0; i < (TURN_MS / 1000) * RATE; i++) {
    const dueMs = startMs + (i * 1000) / RATE
    await sleep(Math.max(0, dueMs - nowMs()))
    const isMeasured = dueMs - startMs >= WARM_MS
    sends.push(side.send(i % ASSETS).then((id) => void (isMeasured && sent.push({ id, dueMs }))))
  }
  await Promise.all(sends)
  await until('the last answer', 10_000, () => sent.every(({ id }) => side.answeredMs(id) !== undefined)).catch(() => undefined)
  return sent.map(({ id, dueMs }) => (side.answeredMs(id) ?? Number.NaN) - dueMs)
}

/** The mesh: a normal and an anomalous sample of every asset in turn, so that every sample opens or closes an episode. */
class MeshSide implements Side {
  modelsActive = 0
  private readonly mesh: Mesh
  private readonly facts = new Map<string, number>()
  private readonly findings = new Map<string, string>()
  private readonly seqs = new Int32Array(ASSETS)

  constructor(mesh: Mesh) {
    this.mesh = mesh
  }

  async follow(log: Log): Promise<void> {
    const codec = await openCodec({ registryUrl: `http://127.0.0.1:${this.mesh.port(8081)}` })
    await followTopic<Models>(log, codec, 'models', ({ value }) => {
      if (value.type === 'ModelActivated' && value.kind === 'onnx') this.modelsActive++
    })
    await followTopic<Anomalies>(log, codec, 'anomalies', ({ value: { finding } }) => {
      if (finding !== null) this.findings.set(`${finding.assetId} ${finding.atUs}`, finding.findingId)
    })
    await followTopic<Actions>(log, codec, 'actions', ({ value: { type, requestId }, timestampMs }) => {
      if (type !== 'FindingCopied' && requestId !== null && !this.facts.has(requestId)) this.facts.set(requestId, timestampMs)
    })
  }

  async teach(): Promise<void> {
    const endUs = Math.floor(nowMs() * 1000)
    for (let i = 0; i < ASSETS; i++) {
      const rows = Array.from({ length: LEARNING_WINDOWS }, (_, at) => this.reading(i, endUs - (LEARNING_WINDOWS - at) * 1_000_000, false))
      await this.give(rows)
    }
    await until('the models of all assets are active', 120_000, () => this.modelsActive >= ASSETS)
  }

  async send(asset: number): Promise<string> {
    const timeUs = Math.floor(nowMs() * 1000)
    await this.give([this.reading(asset, timeUs, (this.seqs[asset]! - LEARNING_WINDOWS) % 2 === 0)])
    return `${assetId(asset)} ${timeUs + 1}` // a window ends 1 us after its row
  }

  answeredMs(id: string): number | undefined {
    return this.facts.get(this.findings.get(id) ?? '')
  }

  private reading(asset: number, timeUs: number, isAnomalous: boolean) {
    const seq = this.seqs[asset]!++
    // Once learnt, well inside what was learnt or far out: every sample opens an episode or closes one.
    const scale = seq < LEARNING_WINDOWS ? 1 : 0.2
    const level = isAnomalous ? ANOMALY : 0
    const wave = (phase: number): number => scale * (Math.sin(seq * 1.7 + phase) + 0.3 * Math.sin(seq * 0.31 + asset)) + level
    return { source: `${assetId(asset)}-plc`, epoch: 1, seq, timeUs, values: { a: wave(0), b: wave(1), c: wave(2) } }
  }

  private async give(rows: readonly unknown[]): Promise<void> {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${this.mesh.token('integrator')}` }
    const status = await post(this.mesh.port(7071), '/v1/telemetry', JSON.stringify(rows), headers)
    if (status !== 202) throw new Error(`ingest answered ${status}`)
  }
}

/** As many processes as the mesh has services, all topic writes, no work. */
class RelaySide implements Side {
  private readonly children: ChildProcess[] = []
  private readonly answers = new Map<string, number>()
  private port = 0
  private count = 0

  async start(log: Log, broker: string): Promise<void> {
    await log.admin.ensureTopics(
      ['0', '1', '2', '3', '4'].map((name) => ({ name: `relay.${name}`, partitions: 12, configs: name === '4' ? FLUSHED : {} })),
    )
    for (const hops of SERVICES) {
      const child = spawn(
        process.execPath,
        ['--no-warnings', join(import.meta.dirname, 'workers', 'relay.ts'), broker, 'relay.', ...hops.split(' ')],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      )
      this.children.push(child)
      const { value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
      const said = JSON.parse(String(value)) as { port?: number }
      this.port ||= said.port ?? 0
    }
    const onBatch = ({ records }: RecordBatch): void => {
      for (const record of records) {
        const { id, answer } = record.headers()
        if (answer !== undefined) this.answers.set(String(id), record.timestampMs)
      }
    }
    await (await log.follow({ topics: ['relay.4'], onBatch })).caughtUp()
  }

  async send(asset: number): Promise<string> {
    const id = String(this.count++)
    const status = await post(this.port, '/', JSON.stringify([{ source: `${assetId(asset)}-plc`, values: { a: 1, b: 2, c: 3 } }]), {
      'x-key': assetId(asset),
      'x-id': id,
    })
    if (status !== 202) throw new Error(`the relay answered ${status}`)
    return id
  }

  answeredMs(id: string): number | undefined {
    return this.answers.get(id)
  }

  stop(): void {
    for (const child of this.children) child.kill('SIGKILL')
  }
}

export const endToEnd = async (): Promise<Measurement[]> => {
  const plant = mkdtempSync(join(tmpdir(), 'andon-end-to-end-plant-'))
  writePlant(plant, ASSETS, FEATURES)
  const mesh = await Mesh.start({
    args: ['--plant', plant],
    env: { CLUSTERING_HYSTERESIS_ON: '1', CLUSTERING_HYSTERESIS_OFF: '1', INFERENCE_COMMISSIONING_WINDOWS: String(COMMISSIONING_WINDOWS) },
  })
  const broker = `127.0.0.1:${mesh.port(9092)}`
  const log = await openKafkaLog({ brokers: [broker], clientId: 'bench' })
  const relay = new RelaySide()
  try {
    const ours = new MeshSide(mesh)
    await ours.follow(log)
    await ours.teach()
    await relay.start(log, broker)
    const turns: { readonly ours: Turn[]; readonly relay: Turn[] } = { ours: [], relay: [] }
    for (const side of [ours, relay]) await takeTurn(side) // until caches, connections and compilers are warm
    for (let turn = 0; turn < TURNS; turn++) {
      turns.ours.push(await takeTurn(ours))
      turns.relay.push(await takeTurn(relay))
    }
    return measurements(turns)
  } finally {
    relay.stop()
    closeDoor()
    await log.close()
    await mesh.stop()
    rmSync(plant, { recursive: true, force: true })
  }
}

/** Medians over turns, since one slow turn of either side is the machine's. The control is the relay's even turns against its odd ones. */
const measurements = ({ ours, relay }: { readonly ours: readonly Turn[]; readonly relay: readonly Turn[] }): Measurement[] => {
  const unanswered = [...ours, ...relay].flat().filter(Number.isNaN).length
  const samples = [...ours, ...relay].flat().length
  return (['P20', 'P20-p99'] as const).map((id) => {
    const at = (turn: Turn): number => quantile(turn, id === 'P20' ? 0.5 : 0.99)
    const [mine, theirs] = [ours.map(at), relay.map(at)]
    const requirement = { id, required: REQUIRED[id], unit: 'x a relay of kafkajs that does no work', isLimit: true }
    const detail = { oursMs: mine.map(rounded), relayMs: theirs.map(rounded), ratePerSecond: RATE, assets: ASSETS, load: load() }
    if (unanswered > 0) return notMeasured(requirement, `${unanswered} of ${samples} samples have no fact`, detail)
    const ratios = mine.map((value, turn) => value / theirs[turn]!)
    const value = median(ratios)
    const control = median(theirs.filter((_, turn) => turn % 2 === 0)) / median(theirs.filter((_, turn) => turn % 2 === 1))
    const { required, unit } = requirement
    const scores = { score: rounded(required / value), lo: rounded(required / quantile(ratios, 0.9)), control: rounded(control) }
    return { id, required, unit, isLimit: true, value: rounded(value), ...scores, samples, detail }
  })
}
