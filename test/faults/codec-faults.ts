// Bytes that nobody can decode, and a registry that is away.

import { setTimeout as sleep } from 'node:timers/promises'
import { seeded } from '@andon/kit'
import { memoryBytes } from '@andon/platform'
import { CODES, POISONS, encodeBlock, poisonOf } from './blocks.ts'
import type { Poison } from './blocks.ts'
import { judgeOutcomes, openCodecRun, untilDone } from './codec-run.ts'
import type { FaultOptions, FaultResult } from './fault.ts'
import { secondsOf, until, withScene } from './rig.ts'

const FUZZED_RECORDS = 10_000
const MEBIBYTE = 1024 * 1024
const MOST_MEMORY_MB = 100
/** A share of the records runs beside other tests, where a machine may stand still by itself. */
const longestStallS = ({ scale }: FaultOptions): number => (scale === 1 ? 5 : 30)

/** Every kind of poison among valid records: each in the dead-letter topic once, nothing valid lost beside it, memory and time bounded. */
export const poison = (options: FaultOptions): Promise<FaultResult> =>
  withScene(options, async (scene) => {
    const { fraction: random } = seeded(options.seed)
    const run = await openCodecRun(scene, options)
    const { log, codec } = run
    const worker = run.startWorker()
    await worker.ready
    const kinds: (Poison | 'valid')[] = []
    const appendBatch = async (batch: readonly (Poison | 'valid')[]): Promise<void> => {
      const values = batch.map((kind, i) => {
        const valid = encodeBlock(codec, kinds.length + i)
        return kind === 'valid' ? valid : poisonOf(kind, valid, random)
      })
      await log.append(values.map((value) => ({ topic: 'telemetry', partition: 0, key: 'press', value })))
      kinds.push(...batch)
    }
    await appendBatch(Array<'valid'>(2000).fill('valid'))
    await untilDone(run, kinds.length)
    const memoryBefore = memoryBytes(worker.pid) ?? 0
    let memoryPeak = memoryBefore
    let [lastDone, lastMs, longestMs] = [0, performance.now(), 0]
    let isOver = false
    const watching = (async () => {
      for (; !isOver; await sleep(50)) {
        memoryPeak = Math.max(memoryPeak, memoryBytes(worker.pid) ?? 0)
        const [done, now] = [await run.done(), performance.now()]
        if (done > lastDone || done === kinds.length) [lastDone, lastMs] = [done, now]
        longestMs = Math.max(longestMs, now - lastMs)
      }
    })()
    const count = Math.max(500, Math.round(FUZZED_RECORDS * options.scale))
    for (let appended = 0; appended < count; appended += 100)
      await appendBatch(
        Array.from({ length: 100 }, (_, i) => {
          if (random() < 0.2) return 'valid'
          return i % 2 === 0 ? 'fuzzed' : POISONS[Math.floor(random() * POISONS.length)]!
        }),
      )
    await untilDone(run, kinds.length)
    isOver = true
    await watching
    await worker.terminate()
    const { verdict, letters, broken } = await judgeOutcomes(run, (offset) => {
      const kind = kinds[offset]
      return kind === 'valid' ? 'fact' : kind === undefined || kind === 'fuzzed' ? undefined : CODES[kind]
    })
    const riseMb = Math.round((memoryPeak - memoryBefore) / MEBIBYTE)
    if (riseMb > MOST_MEMORY_MB) broken.push(`memory rose by ${riseMb} MiB, at most ${MOST_MEMORY_MB} are allowed`)
    if (longestMs / 1000 > longestStallS(options)) broken.push(`the partition stood still for ${(longestMs / 1000).toFixed(1)} s`)
    return {
      verdict,
      recoveredS: longestMs / 1000,
      broken: [...scene.surprises, ...broken],
      detail: { letters: letters.length, memoryRiseMb: riseMb },
    }
  })

const WARM_RECORDS = 20_000
const COLD_START_WITHIN_S = 20

/**
 * The registry is killed. A running service goes on at its rate; an unknown schema id makes its partition wait, and only that; a start
 * ends with one message that names the setting. When the registry is back everything goes on by itself.
 */
export const registryDown = (options: FaultOptions): Promise<FaultResult> =>
  withScene(options, async (scene) => {
    const { note } = options
    const { fraction: random } = seeded(options.seed)
    const run = await openCodecRun(scene, options)
    const { log, codec } = run
    const worker = run.startWorker()
    await worker.ready
    const poisoned = new Set<number>()
    let sent = 0
    const appendValid = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 500) {
        const values = Array.from({ length: Math.min(500, count - i) }, () => encodeBlock(codec, sent++))
        await log.append(values.map((value) => ({ topic: 'telemetry', partition: 0, key: 'press', value })))
      }
    }
    /** The best of a few tries: other work on the machine only ever makes it slower. */
    const rate = async (): Promise<number> => {
      const count = Math.max(1000, Math.round(WARM_RECORDS * options.scale))
      let best = 0
      for (let i = 0; i < 4; i++) {
        const total = sent + count
        const tookS = await secondsOf(async () => {
          await appendValid(count)
          await untilDone(run, total)
        })
        best = Math.max(best, count / tookS)
      }
      return best
    }
    await rate() // the first records also pay for code that is not compiled yet
    const withRegistry = await rate()
    await run.registry.kill()
    const without = await rate()
    note(`warm: ${Math.round(withRegistry)} records a second with the registry, ${Math.round(without)} without`)
    const broken: string[] = []
    if (without < withRegistry / 2)
      broken.push(`a running service fell from ${Math.round(withRegistry)} to ${Math.round(without)} records a second`)

    const startS = await secondsOf(async () => {
      const cold = run.startWorker()
      const words = await cold.ready.then(
        () => '',
        (error: unknown) => String(error),
      )
      await cold.exited
      if (!words.includes('ANDON_REGISTRY_URL') || !words.includes(run.registry.url))
        broken.push(`a start without the registry says: ${words === '' ? 'nothing, it runs' : words}`)
      if (words.split('did not start').length > 2) broken.push('a start without the registry says it more than once')
    })
    if (startS > COLD_START_WITHIN_S) broken.push(`a start without the registry took ${startS.toFixed(1)} s to end`)
    const surprises = scene.surprises.filter((line) => !line.includes('ANDON_REGISTRY_URL'))
    note(`cold: the start ended with its message after ${startS.toFixed(1)} s`)

    const before = await run.done()
    poisoned.add(await run.append(poisonOf('unknown schema', encodeBlock(codec, sent++), random)))
    await appendValid(500)
    await sleep(3000)
    if ((await run.done()) !== before) broken.push('a record whose schema could not be asked for was not waited for')
    await run.registry.restart()
    const recoveredS = await secondsOf(() => untilDone(run, sent, 'the partition to go on when the registry is back'))
    note(`unknown schema id: the partition waited, and went on ${recoveredS.toFixed(1)} s after the registry was back`)

    const late = run.startWorker()
    await late.ready
    await appendValid(500)
    await until('both services to go on', async () => (await run.done()) >= sent)
    await Promise.all([worker.terminate(), late.terminate()])
    const judged = await judgeOutcomes(run, (offset) => (poisoned.has(offset) ? CODES['unknown schema'] : 'fact'))
    return {
      verdict: judged.verdict,
      recoveredS,
      broken: [...surprises, ...broken, ...judged.broken],
      detail: { coldStartEndsS: Math.round(startS * 10) / 10, rateWithout: Math.round((100 * without) / withRegistry) / 100 },
    }
  })
