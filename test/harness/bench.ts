// Races: a subject, the same subject once more as its control, and its peers, sampled in turn in one command (A B C, C B A, …), so that
// whatever slows the machine down slows all of them. The figure is a ratio of costs per unit of work; a race whose control
// is off is run again, and said to be void when it stays so. The noise it is made for: the shared cores of a small virtual machine.
//
//   const encode = (codec: Codec) => () => inProcess('generated', (rounds) => {
//     let bytes = 0
//     for (let i = 0; i < rounds; i++) bytes += codec.encodeInto('telemetry', records[i % records.length], slab, 0)
//     return bytes // depends on every round, so that none of them can be optimised away
//   })
//   const race = await run({ id: 'P4e', judge: 'cpu', sampleMs: 60, samples: 30, ours: encode(ours), peers: { registry: encode(theirs) } })
//   const p4e = ratio(race, { id: 'P4e', peer: 'registry', required: 6, unit: 'x less CPU/record than the registry client' })

import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join, relative } from 'node:path'
import { repositoryRoot } from '@andon/platform'
import { type Measurement, type Requirement, isControlled, load, notMeasured, rounded, skipped } from './bench-measurement.ts'
import { type Ratio, type Series, median, ratioOf } from './bench-statistics.ts'

/** What one sample cost. */
export interface Cost {
  /** Units done: records, samples, values; the same unit for all contenders of a race. */
  readonly work: number
  readonly wallMs: number
  /** User and system time of the contender's own process, all threads, microseconds. */
  readonly cpuUs: number
  /** Heap in use after a full collection, where the contender was started with --expose-gc. */
  readonly heapBytes?: number
}

/** Something that can do a number of rounds of the same work, again and again. */
export interface Contender {
  readonly name: string
  /** Versions and settings, for the record. */
  readonly about?: Readonly<Record<string, unknown>>
  run(rounds: number): Promise<Cost>
  close?(): Promise<void>
}

/** Sets a contender up and checks that its results are right before any of it is timed. Throws PeerMissing when it cannot be had here. */
export type Entry = () => Contender | Promise<Contender>

export class PeerMissing extends Error {}

/** Which cost is compared: CPU where a broker shares the cores, wall where records per second are meant. */
export type Judge = 'cpu' | 'wall'

export interface RaceOptions {
  readonly id: string
  /** The cost whose control decides whether the race counts. */
  readonly judge: Judge
  /** How long one sample takes, roughly: 20-200 ms of pure CPU, 1-3 s with a broker. */
  readonly sampleMs: number
  /** Samples per contender. */
  readonly samples: number
  /** Samples before those, which are dropped. Default 5. */
  readonly warmUps?: number
  readonly ours: Entry
  readonly peers: Readonly<Record<string, Entry>>
  /** Folder for the raw samples. Default: `.andon/bench` of the repository. */
  readonly rawFolder?: string
  /** Told what goes on. Default: stderr. */
  readonly say?: (text: string) => void
}

export interface Race {
  readonly options: RaceOptions
  readonly ours: readonly Cost[]
  readonly control: readonly Cost[]
  /** Samples of each peer, or why it is missing. */
  readonly peers: ReadonlyMap<string, readonly Cost[] | PeerMissing>
  /** How often it was run; the last one is here. */
  readonly tries: number
  /** File with all samples. */
  readonly raw: string
}

const MOST_TRIES = 3

/** Says what is going on to the person who waits; results go to stdout, this does not. */
export const progress = (text: string): void => void process.stderr.write(`   ${text}\n`)

/** Runs the race until its control holds, three times at most. */
export const run = async (options: RaceOptions): Promise<Race> => {
  for (let tries = 1; ; tries++) {
    const race = await once(options, tries)
    const off = controlOf(race, options.judge)
    if (isControlled(off) || tries === MOST_TRIES) return race
    const say = options.say ?? progress
    say(`${options.id}: control ${rounded(off)}, void; once more`)
  }
}

const once = async (options: RaceOptions, tries: number): Promise<Race> => {
  const missing = new Map<string, PeerMissing>()
  const contenders: Contender[] = []
  const loadBefore = load()
  try {
    const ours = await options.ours()
    contenders.push(ours)
    const control = await options.ours()
    contenders.push(control)
    const peers = new Map<string, Contender>()
    for (const [name, entry] of Object.entries(options.peers)) {
      try {
        const peer = await entry()
        contenders.push(peer)
        peers.set(name, peer)
      } catch (error) {
        if (!(error instanceof PeerMissing)) throw error
        missing.set(name, error)
      }
    }
    // Ours beside its peers, the control last: turned round every other time.
    const lanes = [ours, ...peers.values(), control].map((contender) => ({ contender, rounds: 1, costs: [] as Cost[] }))
    const say = options.say ?? progress
    say(`${options.id}: ${lanes.map(({ contender }) => contender.name).join(', ')}; ${options.samples} samples each`)
    for (const lane of lanes) lane.rounds = await calibrated(lane.contender, options.sampleMs, options.warmUps ?? 5)
    for (let i = 0; i < options.samples; i++)
      for (const lane of i % 2 === 0 ? lanes : lanes.toReversed()) lane.costs.push(await lane.contender.run(lane.rounds))
    const costsOf = (contender: Contender): Cost[] => lanes.find((lane) => lane.contender === contender)?.costs ?? []
    const found = new Map([...peers].map(([name, peer]) => [name, costsOf(peer)] as const))
    const samples = {
      tries,
      judge: options.judge,
      loadBefore,
      contenders: lanes.map(({ contender, rounds, costs }) => ({ name: contender.name, about: contender.about, rounds, costs })),
      missing: Object.fromEntries([...missing].map(([name, { message }]) => [name, message])),
    }
    const raw = keep(options.id, samples, options.rawFolder)
    return {
      options,
      ours: costsOf(ours),
      control: costsOf(control),
      peers: new Map<string, readonly Cost[] | PeerMissing>([...found, ...missing]),
      tries,
      raw,
    }
  } finally {
    for (const contender of contenders) await contender.close?.()
  }
}

/** Warms a contender up and finds how many rounds fill a sample. */
const calibrated = async (contender: Contender, sampleMs: number, warmUps: number): Promise<number> => {
  let rounds = 1
  let { wallMs } = await contender.run(rounds)
  while (wallMs < sampleMs / 4) {
    rounds = Math.ceil(rounds * Math.min(16, (sampleMs / Math.max(wallMs, 0.01)) * 0.75 + 1))
    ;({ wallMs } = await contender.run(rounds))
  }
  for (let i = 0; i < warmUps; i++) {
    rounds = Math.max(1, Math.round((rounds * sampleMs) / Math.max(wallMs, 0.01)))
    ;({ wallMs } = await contender.run(rounds))
  }
  return rounds
}

export const costsPerWork = (costs: readonly Cost[], judge: Judge): Series =>
  costs.map(({ work, wallMs, cpuUs }) => (judge === 'cpu' ? cpuUs : wallMs * 1000) / work)

/** The subject against itself; 1 on a quiet machine. */
export const controlOf = ({ ours, control }: Race, judge: Judge): number =>
  ratioOf(costsPerWork(ours, judge), costsPerWork(control, judge)).ofMinima

/** How much cheaper ours was than a peer; undefined when the peer is missing. */
export const against = (race: Race, peer: string, judge: Judge = race.options.judge): Ratio | undefined => {
  const theirs = race.peers.get(peer)
  if (theirs === undefined) throw new Error(`race ${race.options.id} has no peer ${peer}`)
  return theirs instanceof PeerMissing ? undefined : ratioOf(costsPerWork(race.ours, judge), costsPerWork(theirs, judge))
}

export interface RatioOptions extends Requirement {
  readonly peer: string
  /** Default: the race's. */
  readonly judge?: Judge
  readonly detail?: Measurement['detail']
}

/** The figure of a race: how many times less ours costs per unit of work than the peer does. */
export const ratio = (race: Race, { peer, judge = race.options.judge, detail = {}, ...requirement }: RatioOptions): Measurement => {
  const theirs = race.peers.get(peer)
  if (theirs instanceof PeerMissing) return skipped(requirement, theirs.message)
  const found = against(race, peer, judge)
  if (found === undefined || theirs === undefined) return notMeasured(requirement, `no samples of ${peer}`)
  const control = rounded(controlOf(race, judge))
  const { id, required, unit } = requirement
  return {
    id,
    score: rounded(found.ofMinima / required),
    lo: rounded(found.interval[0] / required),
    value: rounded(found.ofMinima),
    required,
    unit,
    control,
    samples: race.ours.length + theirs.length,
    ...(isControlled(control) ? {} : { why: `void after ${race.tries} tries: control ${control}` }),
    detail: {
      ...detail,
      ratioOfMedians: rounded(found.ofMedians),
      interval90: found.interval.map(rounded),
      costs: costsOf(race),
      tries: race.tries,
      load: load(),
      raw: race.raw,
    },
    isLimit: false,
  }
}

/** Minimum and median of every contender: CPU microseconds per unit of work, units per second. */
export const costsOf = (race: Race): Record<string, unknown>[] => {
  const row = (name: string, costs: readonly Cost[]): Record<string, unknown> => {
    const cpuUs = costsPerWork(costs, 'cpu')
    return {
      name,
      cpuUs: rounded(Math.min(...cpuUs)),
      cpuUsMedian: rounded(median(cpuUs)),
      perSecond: Math.round(1e6 / Math.min(...costsPerWork(costs, 'wall'))),
    }
  }
  const peers = [...race.peers].flatMap(([name, costs]) => (costs instanceof PeerMissing ? [] : [row(name, costs)]))
  return [row('andon', race.ours), row('andon (control)', race.control), ...peers]
}

/** Rounds below this take less time than any real work: the compiler has removed it. */
const LEAST_NS_PER_ROUND = 2

/**
 * A contender in this process, for pure computation. `work` does the rounds in a loop of its own and returns a number
 * that depends on each of them; a subject that the compiler removed, or that returns the same however much it does, throws.
 * A promise is for peers that answer with one.
 */
export const inProcess = (name: string, work: (rounds: number) => number | Promise<number>, unitsPerRound = 1): Contender => {
  let seen: { rounds: number; result: number } | undefined
  return {
    name,
    run: async (rounds) => {
      const cpu = process.cpuUsage()
      const startedMs = performance.now()
      const given = work(rounds)
      const result = typeof given === 'number' ? given : await given
      const wallMs = performance.now() - startedMs
      const { user, system } = process.cpuUsage(cpu)
      if (!Number.isFinite(result)) throw new Error(`${name}: returned ${result}, expected a number that depends on its rounds`)
      if (seen !== undefined && seen.rounds !== rounds && seen.result === result)
        throw new Error(`${name}: ${rounds} and ${seen.rounds} rounds gave the same ${result}; the result depends on no round`)
      if (rounds >= 100_000 && (wallMs * 1e6) / rounds < LEAST_NS_PER_ROUND)
        throw new Error(`${name}: ${rounds} rounds took ${rounded(wallMs)} ms; the work was optimised away`)
      seen = { rounds, result }
      return { work: rounds * unitsPerRound, wallMs, cpuUs: user + system }
    },
  }
}

const RAW_FOLDER = join(repositoryRoot, '.andon', 'bench')

/** Keeps raw samples with what they were taken on; returns the file, below the repository where it lies there. */
export const keep = (id: string, samples: Readonly<Record<string, unknown>>, folder = RAW_FOLDER): string => {
  mkdirSync(folder, { recursive: true })
  const at = new Date().toISOString()
  const name = `${id}-${at.replaceAll(/[:.]/g, '-')}.json`
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    load: load(),
  }
  writeFileSync(join(folder, name), JSON.stringify({ id, at, machine, ...samples }, undefined, 1))
  return relative(repositoryRoot, join(folder, name))
}
