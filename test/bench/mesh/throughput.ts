// P21: readings a CPU-second of our processes take from the door to the last service. A mixed load on a schedule that waits for nobody: most
// readings come in batches as gateways send them, some alone, and some assets go wrong in turn, so that episodes open and close. A turn
// is over when its windows are judged: what it cost is the CPU time of all services until then, their idle cost included.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { followTopic, openCodec, openKafkaLog } from '@andon/kit'
import type { Anomalies, Models, Predictions } from '@andon/schemas'
import { type Measurement, load, rounded } from '../../harness/bench-measurement.ts'
import { median } from '../../harness/bench-statistics.ts'
import { Mesh, until } from '../../harness/mesh.ts'
import { closeDoor, post } from './door.ts'
import { assetId, writePlant } from './plant.ts'

const REQUIRED = 20_000
const ASSETS = 100
const ROWS_PER_POST = 200
/** A batch of each asset, and a window of it. */
const WINDOW_MS = 1000
const ALONE_PER_SECOND = 50
const TURNS = 5
const TURN_MS = 12_000
const WINDOWS_LEARNT = 110
/** Every so many assets one goes wrong for a third of a turn. */
const WRONG_EVERY = 20
const SERVICES = ['ingest', 'features', 'inference', 'clustering', 'actions', 'video', 'console'] as const
/** Linux counts CPU time of a process in hundredths of a second. */
const TICKS_PER_SECOND = 100
const FEATURES = {
  windowMs: WINDOW_MS,
  latenessMs: 500,
  graceMs: 250,
  features: [{ channel: '*', statistics: ['mean', 'std', 'min', 'max'] }],
}

const cpuSeconds = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** What was sent and what came of it. */
class Load {
  readings = 0
  modelsActive = 0
  findings = 0
  /** Newest window of each asset that has been scored. */
  private readonly scoredUs = new Map<string, number>()
  private readonly sentUs = new Float64Array(ASSETS)
  private readonly seqs = new Int32Array(ASSETS)
  private readonly mesh: Mesh

  constructor(mesh: Mesh) {
    this.mesh = mesh
  }

  async send(asset: number, rows: number, endUs: number, level: number): Promise<void> {
    const body = Array.from({ length: rows }, (_, row) => {
      const seq = this.seqs[asset]!++
      const wave = (phase: number): number => level + Math.sin(seq * 1.7 + phase) + 0.3 * Math.sin(seq * 0.0031 + asset)
      const timeUs = endUs - Math.round(((rows - row) * WINDOW_MS * 1000) / ROWS_PER_POST)
      return { source: `${assetId(asset)}-plc`, epoch: 1, seq, timeUs, values: { a: wave(0), b: wave(1), c: wave(2) } }
    })
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${this.mesh.token('integrator')}` }
    const status = await post(this.mesh.port(7071), '/v1/telemetry', JSON.stringify(body), headers)
    if (status !== 202) throw new Error(`ingest answered ${status}`)
    this.readings += rows
    this.sentUs[asset] = Math.max(this.sentUs[asset]!, endUs)
  }

  onModel({ type, kind }: Models): void {
    if (type === 'ModelActivated' && kind === 'onnx') this.modelsActive++
  }

  onPrediction({ assetId: id, windowEndUs }: Predictions): void {
    this.scoredUs.set(id, Math.max(this.scoredUs.get(id) ?? 0, windowEndUs))
  }

  onAnomaly({ finding }: Anomalies): void {
    if (finding !== null) this.findings++
  }

  /** The last window that was sent whole is not scored before time or data has passed its lateness. */
  isScored(): boolean {
    return this.sentUs.every((sentUs, i) => (this.scoredUs.get(assetId(i)) ?? 0) >= sentUs - 2 * WINDOW_MS * 1000)
  }

  /** The pasts that models and detectors learn from. */
  async teach(): Promise<void> {
    const nowUs = Date.now() * 1000
    for (let ago = WINDOWS_LEARNT; ago > 0; ago--)
      await Promise.all(Array.from({ length: ASSETS }, (_, i) => this.send(i, ROWS_PER_POST, nowUs - ago * WINDOW_MS * 1000, 0)))
    await until('the models of all assets are active', 180_000, () => this.modelsActive >= ASSETS)
  }

  async turn(turn: number): Promise<void> {
    const startMs = Date.now()
    const steps = (TURN_MS / 1000) * ALONE_PER_SECOND
    const perStep = ASSETS / ALONE_PER_SECOND
    const sends: Promise<void>[] = []
    for (let step = 0; step < steps; step++) {
      const dueMs = startMs + (step * 1000) / ALONE_PER_SECOND
      await sleep(Math.max(0, dueMs - Date.now()))
      for (let i = 0; i < perStep; i++) {
        const asset = (step * perStep + i) % ASSETS
        const isWrong = (asset + turn) % WRONG_EVERY === 0 && dueMs - startMs > TURN_MS / 3 && dueMs - startMs < (2 * TURN_MS) / 3
        const isAlone = i === 0
        // The last of a batch comes alone: as much in all, in two posts.
        const endUs = Math.floor(dueMs * 1000)
        const level = isWrong ? 20 : 0
        sends.push(isAlone ? this.inTwo(asset, endUs, level) : this.send(asset, ROWS_PER_POST, endUs, level))
      }
    }
    await Promise.all(sends)
    await until('the windows of the turn are scored', 60_000, () => this.isScored())
  }

  private async inTwo(asset: number, endUs: number, level: number): Promise<void> {
    await this.send(asset, ROWS_PER_POST - 1, endUs - (WINDOW_MS * 1000) / ROWS_PER_POST, level)
    await this.send(asset, 1, endUs, level)
  }
}

export const throughput = async (): Promise<Measurement[]> => {
  const plant = mkdtempSync(join(tmpdir(), 'andon-throughput-plant-'))
  writePlant(plant, ASSETS, FEATURES)
  const mesh = await Mesh.start({
    args: ['--plant', plant],
    env: { CLUSTERING_LEARNING_WINDOWS: String(WINDOWS_LEARNT - 10), INFERENCE_COMMISSIONING_WINDOWS: String(WINDOWS_LEARNT - 10) },
  })
  const log = await openKafkaLog({ brokers: [`127.0.0.1:${mesh.port(9092)}`], clientId: 'bench' })
  const cpuOf = (): number[] => SERVICES.map((name) => cpuSeconds(mesh.pid(name)))
  try {
    const codec = await openCodec({ registryUrl: `http://127.0.0.1:${mesh.port(8081)}` })
    const sent = new Load(mesh)
    await followTopic<Models>(log, codec, 'models', ({ value }) => sent.onModel(value))
    await followTopic<Predictions>(log, codec, 'predictions', ({ value }) => sent.onPrediction(value))
    await followTopic<Anomalies>(log, codec, 'anomalies', ({ value }) => sent.onAnomaly(value))
    await sent.teach()
    await sent.turn(0) // until caches, connections and compilers are warm
    const rates: number[] = []
    const shares = SERVICES.map(() => 0)
    for (let turn = 1; turn <= TURNS; turn++) {
      const [readings, before] = [sent.readings, cpuOf()]
      await sent.turn(turn)
      const spent = cpuOf().map((seconds, i) => seconds - before[i]!)
      spent.forEach((seconds, i) => (shares[i]! += seconds))
      rates.push((sent.readings - readings) / spent.reduce((sum, each) => sum + each, 0))
    }
    const total = shares.reduce((sum, each) => sum + each, 0)
    const value = median(rates)
    return [
      {
        id: 'P21',
        value: rounded(value),
        required: REQUIRED,
        unit: 'readings per CPU-second of all services',
        isLimit: false,
        score: rounded(value / REQUIRED),
        samples: rates.length,
        detail: {
          work: `${ASSETS} assets x ${ROWS_PER_POST} readings of 3 channels a second, JSON, half of the batches with their last reading alone; a window a second`,
          perTurn: rates.map(rounded),
          cpuShares: Object.fromEntries(SERVICES.map((name, i) => [name, rounded(shares[i]! / total)])),
          findings: sent.findings,
          load: load(),
        },
      },
    ]
  } finally {
    closeDoor()
    await log.close()
    await mesh.stop()
    rmSync(plant, { recursive: true, force: true })
  }
}
