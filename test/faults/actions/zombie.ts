// An owner stands still past its session in the middle of a command - also between its last look at the log and the bytes - while
// another process takes the partition and settles; then it goes on. One effect at most, and nothing settled before its time.

import { hasEnded, settleWaitMs } from '@andon/decisions'
import type { ExecutionPoint } from '../../../services/actions/src/execution.ts'
import { sumVerdicts } from '../../harness/record-ledger.ts'
import type { FaultOptions, FaultResult } from '../fault.ts'
import { until, withScene } from '../rig.ts'
import { judgeEffects } from './judge.ts'
import { openServers, sumOf } from './kills.ts'
import { COMMAND, openPlace } from './plant.ts'
import type { Place } from './plant.ts'

/** Where the owner stands still, the most telling first: at `sending` nothing is asked any more, the bytes leave as soon as it goes on. */
const POINTS: readonly ExecutionPoint[] = [
  'sending',
  'sent',
  'read-back',
  'reading-back',
  'intent-acknowledged',
  'prepared',
  'answered',
  'burnt',
]
const WAIT_MS = settleWaitMs(COMMAND.commandWindowMs, COMMAND.maxLatencyMs, COMMAND.maxStopMs)
/** The settler's monotonic clock starts after the intent was appended; two clocks that count milliseconds differ by one. */
const ROUNDING_MS = 2

export const actionsZombie = (options: FaultOptions): Promise<FaultResult> =>
  withScene(options, async (scene) => {
    const servers = await openServers(scene)
    const points = POINTS.slice(0, Math.max(1, Math.round(POINTS.length * options.scale)))
    const places = await Promise.all(
      points.map(async (point, n) => {
        const place = await openPlace(scene, `z${n}`, { ...servers, guards: { late: n % 2 === 1, repeated: true } })
        return { point, place }
      }),
    )
    const results = await Promise.all(places.map(({ point, place }) => play(place, point, options)))
    const judged = places.map(({ place }, n) => judgeEffects(place, new Set([(results[n] as Played).stepId])))
    const unapproved = judged.reduce((sum, one) => sum + one.unapproved, 0)
    return {
      verdict: {
        ...sumVerdicts(judged.map((one) => one.verdict)),
        acknowledged: judged.reduce((sum, one) => sum + one.verdict.acknowledged, 0),
      },
      recoveredS: Math.max(...results.map((one) => one.takenOverS)),
      broken: [
        ...scene.surprises,
        ...results.flatMap((one) => one.broken),
        ...(unapproved > 0 ? [`${unapproved} effects unapproved`] : []),
      ],
      detail: {
        points: points.length,
        effects: judged.reduce((sum, one) => sum + one.effects, 0),
        lateCommandsRefused: places.reduce((sum, { place }) => sum + refusedIn(place), 0),
        endings: sumOf(judged.map((one) => one.endings)),
      },
    }
  })

interface Played {
  readonly stepId: string
  readonly broken: readonly string[]
  readonly takenOverS: number
}

const play = async (place: Place, point: ExecutionPoint, { note }: FaultOptions): Promise<Played> => {
  const { line } = place
  const zombie = place.start('a')
  const step = await place.propose(point)
  // an intent that is settled by its own owner stands still while settling
  if (point === 'burnt') line.misbehave({ answers: 'lost', times: 1 })
  zombie.arm({ point, signal: 'SIGSTOP', delayMs: 0 })
  await place.decide('approve', step)
  await until(`the owner to stand still at ${point}`, () => zombie.fell.includes(point), 60_000)
  await place.look()
  const stoppedMs = performance.now()
  const epoch = place.state.epoch
  const heir = place.start('b')
  await until(`another owner after ${point}`, async () => {
    await place.look()
    return place.state.epoch > epoch
  })
  const takenOverS = (performance.now() - stoppedMs) / 1000
  await until(`a settlement after ${point}`, async () => {
    await place.look()
    return place.step(step.id).open === null || place.step(step.id).open === undefined
  })
  const answersBefore = line.answers().length
  zombie.resume()
  // it says so itself when it has understood; until then its late command is under way
  await until(`the end of ${point}`, async () => {
    await place.look()
    return hasEnded(place.step(step.id))
  })
  await until(`the late command after ${point}`, () => point !== 'sending' || line.answers().length > answersBefore)
  note(`${point}: taken over after ${takenOverS.toFixed(1)} s, ${line.ledger().length} effects`)
  await Promise.all([zombie.kill(), heir.kill()])
  await place.look()
  return { stepId: step.id, broken: tooEarly(place, point), takenOverS }
}

/** Settlements whose intent could still have had an effect. */
const tooEarly = ({ facts }: Place, point: string): string[] => {
  const begun = new Map(facts.flatMap(({ record, appendedMs }) => (record.type === 'Executing' ? [[idOf(record), appendedMs]] : [])))
  return facts.flatMap(({ record, appendedMs }) => {
    if (record.execution?.by !== 'readback') return []
    const tookMs = appendedMs - (begun.get(idOf(record)) ?? 0)
    return tookMs + ROUNDING_MS < WAIT_MS ? [`${point}: settled ${tookMs} ms after its intent, not before ${WAIT_MS} ms`] : []
  })
}

const idOf = (record: { readonly execution: { readonly commandRequestId: string } | null }): string =>
  record.execution?.commandRequestId ?? ''

const refusedIn = ({ line }: Place): number =>
  line.answers().filter(({ request, code }) => request === 'pause' && (code === 'BURNED' || code === 'LATE' || code === 'REPEATED')).length
