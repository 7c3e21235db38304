// From the POST of the sample that closes a window to the proposal on the log, while the demo runs: three assets of the bench's
// own, a sample every 200 ms each, windows of 1 s, an anomalous window every 3 s, hysteresis 1/1. The proposal's time is
// the broker's (LogAppendTime); the stages between are seen by a reader of the topics and say where the time goes.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openCodec, openKafkaLog } from '@andon/kit'
import { repositoryRoot } from '@andon/platform'
import { Mesh, until } from '../harness/mesh.ts'
import { type Measurement, limit, load, notMeasured, rounded } from '../harness/bench-measurement.ts'
import { quantile } from '../harness/bench-statistics.ts'
import { STAGES, type Stage, type Trail, Trails } from './trails.ts'

const REQUIRED_MS = 1000
const FEWEST_FINDINGS = 30
const ASSETS = ['bench-a', 'bench-b', 'bench-c'] as const
const WINDOW_MS = 1000
const SAMPLE_EVERY_MS = 200
/** Windows sent at once before the measurement, for learning: inference asks for 60 at least. */
const LEARNING_WINDOWS = 65
const COMMISSIONING_WINDOWS = 60
const MEASURE_MS = 100_000
const ANOMALY = 50

export const latency = async (): Promise<Measurement[]> => {
  const folder = mkdtempSync(join(tmpdir(), 'andon-latency-plant-'))
  writePlant(folder)
  const mesh = await Mesh.start({
    args: ['--demo', '--plant', folder],
    env: {
      CLUSTERING_HYSTERESIS_ON: '1',
      CLUSTERING_HYSTERESIS_OFF: '1',
      INFERENCE_COMMISSIONING_WINDOWS: String(COMMISSIONING_WINDOWS),
    },
  })
  const log = await openKafkaLog({ brokers: [`127.0.0.1:${mesh.port(9092)}`], clientId: 'bench' })
  try {
    const trails = new Trails(new Set(ASSETS))
    await trails.follow(log, await openCodec({ registryUrl: `http://127.0.0.1:${mesh.port(8081)}` }))
    const devices = ASSETS.map((asset, i) => new Device(mesh, trails, asset, i))
    await Promise.all(devices.map((device) => device.teach()))
    await until('the bench’s models are active', 60_000, () => trails.modelsActive >= ASSETS.length)
    const untilMs = Date.now() + MEASURE_MS
    await Promise.all(devices.map((device) => device.run(untilMs)))
    await sleep(3000)
    return [
      measurementOf(
        trails,
        devices.reduce((count, device) => count + device.anomalies, 0),
      ),
    ]
  } finally {
    await log.close()
    await mesh.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

const measurementOf = (trails: Trails, anomalies: number): Measurement => {
  const complete = trails.complete()
  const detail = { anomalousWindows: anomalies, proposals: complete.length, withoutFinding: trails.withoutFinding(), load: load() }
  if (complete.length < FEWEST_FINDINGS)
    return notMeasured(
      { id: 'latency', required: REQUIRED_MS, unit: 'ms p99', isLimit: true },
      `${complete.length} proposals, ${FEWEST_FINDINGS} are needed`,
      detail,
    )
  const totals = complete.map(({ closedByMs, proposedMs }) => proposedMs - closedByMs)
  const stages = STAGES.map((stage, i) => {
    const since = (trail: Trail): number => (i === 0 ? trail.closedByMs : trail.at[STAGES[i - 1] as Stage])
    const steps = complete.map((trail) => trail.at[stage] - since(trail))
    const sums = complete.map((trail) => trail.at[stage] - trail.closedByMs)
    return {
      stage,
      stepP50: Math.round(quantile(steps, 0.5)),
      stepP99: Math.round(quantile(steps, 0.99)),
      sumP50: Math.round(quantile(sums, 0.5)),
      sumP99: Math.round(quantile(sums, 0.99)),
    }
  })
  const acknowledged = complete.map(({ acknowledgedMs, closedByMs }) => acknowledgedMs - closedByMs)
  return limit('latency', quantile(totals, 0.99), REQUIRED_MS, 'ms p99', complete.length, {
    p50Ms: rounded(quantile(totals, 0.5)),
    p95Ms: rounded(quantile(totals, 0.95)),
    maxMs: rounded(Math.max(...totals)),
    acknowledgedP50Ms: rounded(quantile(acknowledged, 0.5)),
    acknowledgedP99Ms: rounded(quantile(acknowledged, 0.99)),
    ...detail,
    stages,
  })
}

/** One sensor: teaches its normal behaviour with samples of the last minute, then sends in real time. */
class Device {
  anomalies = 0
  private seq = 0
  private readonly mesh: Mesh
  private readonly trails: Trails
  private readonly asset: string
  private readonly phase: number

  constructor(mesh: Mesh, trails: Trails, asset: string, phase: number) {
    this.mesh = mesh
    this.trails = trails
    this.asset = asset
    this.phase = phase
  }

  async teach(): Promise<void> {
    const endMs = Math.floor(Date.now() / WINDOW_MS) * WINDOW_MS
    const times = Array.from({ length: (LEARNING_WINDOWS * WINDOW_MS) / SAMPLE_EVERY_MS }, (_, i) => endMs - (i + 1) * SAMPLE_EVERY_MS)
    await this.post(times.toReversed().map((timeMs) => this.reading(timeMs, false)))
  }

  async run(untilMs: number): Promise<void> {
    let timeMs = (Math.floor(Date.now() / WINDOW_MS) + 1) * WINDOW_MS
    let before: boolean | undefined
    for (; timeMs < untilMs; timeMs += SAMPLE_EVERY_MS) {
      await sleep(Math.max(0, timeMs - Date.now()))
      const window = Math.floor(timeMs / WINDOW_MS)
      const isAnomalous = window % ASSETS.length === this.phase
      const reading = this.reading(timeMs, isAnomalous)
      const sentMs = Date.now()
      await this.post([reading])
      // The first sample of a window closes the one before it.
      if (timeMs % WINDOW_MS === 0 && before === true) {
        this.anomalies++
        this.trails.closedBy(this.asset, timeMs * 1000, reading.seq, sentMs, Date.now())
      }
      before = isAnomalous
    }
  }

  private reading(timeMs: number, isAnomalous: boolean) {
    const seq = this.seq++
    // A wave per window whose level moves over seven windows: learning sees every phase of it, so nothing normal looks odd.
    const wave =
      Math.sin((2 * Math.PI * (timeMs % WINDOW_MS)) / WINDOW_MS) + 0.3 * Math.sin((2 * Math.PI * Math.floor(timeMs / WINDOW_MS)) / 7)
    return { source: `${this.asset}-plc`, epoch: 1, seq, timeUs: timeMs * 1000, values: { value: wave + (isAnomalous ? ANOMALY : 0) } }
  }

  private async post(body: readonly unknown[]): Promise<void> {
    const answer = await this.mesh.call('POST', 7071, '/v1/telemetry', { as: 'integrator', body })
    if (answer.status !== 202) throw new Error(`ingest answered ${answer.status}: ${JSON.stringify(answer.body)}`)
  }
}

/** The demo plant with three more assets, each on a line of its own. */
const writePlant = (folder: string): void => {
  const demo = join(repositoryRoot, 'examples', 'steel-plant')
  for (const part of ['plant.yaml', 'commands.yaml', 'features', 'policies', 'boundaries'])
    cpSync(join(demo, part), join(folder, part), { recursive: true })
  const file = join(folder, 'plant.yaml')
  const lines = ASSETS.map((id) => ({ id, name: id, area: 'bench', controlGroup: id }))
  const assets = ASSETS.map((id) => ({
    id,
    name: id,
    line: id,
    class: 'bench',
    origin: 'simulated',
    sources: [`${id}-plc`],
    channels: [{ id: 'value', unit: '1', kind: 'scalar' }],
  }))
  const text = readFileSync(file, 'utf8')
  const withLines = insertedBelow(text, 'lines:', lines)
  const withClasses = insertedBelow(withLines, 'assetClasses:', [{ id: 'bench', featureSet: 'features/bench' }])
  writeFileSync(file, insertedBelow(withClasses, 'assets:', assets))
  const featureSet = {
    version: 1,
    name: 'features/bench',
    windowMs: WINDOW_MS,
    latenessMs: 500,
    graceMs: 250,
    features: [{ channel: '*', statistics: ['mean', 'std', 'min', 'max'] }],
  }
  writeFileSync(join(folder, 'features', 'bench.yaml'), JSON.stringify(featureSet))
  const policy = {
    version: 1,
    name: 'policies/bench',
    when: 'asset.class == "bench"',
    plan: [{ step: 'inspection', command: 'inspection.create', params: { priority: 'normal' }, approvals: 1 }],
    evidence: null,
    budget: { perLinePerHour: 10_000 },
    runbook: 'docs/runbooks/default.md',
  }
  writeFileSync(join(folder, 'policies', 'bench.yaml'), JSON.stringify(policy))
}

/** Puts items at the head of a top-level list; JSON is YAML. */
const insertedBelow = (text: string, list: string, items: readonly unknown[]): string => {
  const head = `\n${list}\n`
  if (!text.includes(head)) throw new Error(`the demo's plant.yaml has no list ${list}`)
  return text.replace(head, () => head + items.map((item) => `  - ${JSON.stringify(item)}\n`).join(''))
}
