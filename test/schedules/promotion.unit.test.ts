// Row 20: promotion and undo of a replay run, with the command's code and the services that read what it appends - features
// with ingest before it, inference, clustering - on one log, in memory and simulated, that loses its tail.

import assert from 'node:assert/strict'
import { parseTolerances } from '../../packages/cli/src/replay/compare.ts'
import { applyPromotion, planPromotion, planUndo } from '../../packages/cli/src/replay/promote.ts'
import type { PromotionPlan } from '../../packages/cli/src/replay/promote.ts'
import { startUs } from '../../services/ingest/test/rig.ts'
import type { Rig } from '../../services/ingest/test/rig.ts'
import { codec } from './line.ts'
import { RUN, assertAccounted, feed, schedule } from './plant.ts'
import type { Plant } from './plant.ts'

const SECOND_US = 1_000_000
const request = { run: RUN, topic: 'features', fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, tolerances: parseTolerances([]) }

const promote = (plant: Plant, plan: PromotionPlan, wait: () => Promise<void> = async () => undefined): Promise<number> =>
  applyPromotion(plant.line.log, plan, { settleMs: 1, wait })
const plan = (plant: Plant): Promise<PromotionPlan> => planPromotion(plant.line.log, codec, request)

/** The windows of 4 s that would be promoted, by their start in seconds; a key ends with a window's end. */
const windowsOf = ({ promotions }: PromotionPlan): number[] =>
  promotions.map(({ key }) => (Number(key.split(' ').at(-1)) - startUs) / SECOND_US - 4)

schedule('row 20: a window that live may still revise is not promoted, and one that is final stays as promoted', async (plant, ingest) => {
  await feed(plant, ingest, 1, 17, 13)
  await plant.line.seconds(4, ingest)
  await plant.settled()
  await plant.replay()
  const first = await plan(plant)
  assert.deepEqual([windowsOf(first), first.notFinal], [[0, 4, 8], 1])
  await promote(plant, first)
  await plant.settled()
  await plant.line.accept(ingest, [13, 13]) // window 12 is revised
  await plant.line.accept(ingest, [18, 3]) // window 0 is final
  await ingest.pump()
  await feed(plant, ingest, 19, 40)
  await plant.line.seconds(10, ingest)
  await plant.settled()
  assertAccounted(plant, 40)
  assert.deepEqual(plant.line.passed().late, ['oven-plc.18'])
  assert.deepEqual(plant.judged(0, 4, 8, 12), ['30 by 1', '30 by 1', '30 by 1', '20 by 0'])
  assert.equal(plant.taken(), 3)
})

/** Three final windows and a run that says other things of them. */
const finalWindows = async (plant: Plant, ingest: Rig): Promise<PromotionPlan> => {
  await feed(plant, ingest, 1, 17)
  await plant.line.seconds(4, ingest)
  await plant.settled()
  await plant.replay()
  return plan(plant)
}

schedule('row 20: promote, crash, promote again, undo, promote once more: readers take each once', async (plant, ingest) => {
  const first = await finalWindows(plant, ingest)
  assert.deepEqual(windowsOf(first), [0, 4, 8])
  const crash = (): Promise<never> => Promise.reject(new Error('crash'))
  await assert.rejects(promote(plant, { ...first, promotions: first.promotions.slice(0, 1) }, crash), /crash/)
  await promote(plant, { ...first, promotions: first.promotions.slice(0, 1) }) // as far as a crash let it come
  await promote(plant, first) // the same plan, for whoever kept it
  await plant.startInference() // and a reader that forgets its marks
  const again = await plan(plant)
  assert.deepEqual(windowsOf(again), [], 'given again, the command finds nothing left to do')
  await plant.settled()
  assert.deepEqual(plant.judged(0, 4, 8), ['30 by 1', '30 by 1', '30 by 1'])
  assert.equal(plant.taken(), 3)

  const undo = await planUndo(plant.line.log, codec, request)
  await promote(plant, { ...undo, promotions: undo.promotions.slice(0, 2) })
  const rest = await planUndo(plant.line.log, codec, request)
  assert.deepEqual([windowsOf(undo), windowsOf(rest)], [[0, 4, 8], [8]])
  await promote(plant, rest)
  await promote(plant, undo)
  await plant.settled()
  assert.deepEqual(plant.judged(0, 4, 8), ['20 by 2', '20 by 2', '20 by 2'])
  assert.equal(plant.taken(), 6)

  await promote(plant, await plan(plant))
  await plant.settled()
  assert.deepEqual(plant.judged(0, 4, 8), ['30 by 3', '30 by 3', '30 by 3'])
  assert.equal(plant.taken(), 9)
  await feed(plant, ingest, 18, 40)
  await plant.line.seconds(10, ingest)
  await plant.settled()
  assertAccounted(plant, 40)
})

schedule('row 20: a power loss right after a promotion: it is refused or given again, and taken once', async (plant, ingest) => {
  const { line } = plant
  const first = await finalWindows(plant, ingest)
  const left = line.store.partition('features', 0).high
  let waits = 0
  const losesItsTail = async (): Promise<void> => {
    if (++waits === 2) line.powerLoss({ features: left + 1 }) // the first of three was flushed
  }
  await assert.rejects(promote(plant, first, losesItsTail), { code: 'ANDON_CLI_PROMOTE_UNSETTLED' })
  await plant.settled()
  const again = await plan(plant)
  assert.deepEqual(windowsOf(again), [4, 8])
  await promote(plant, again)
  await plant.settled()
  assert.deepEqual(plant.judged(0, 4, 8), ['30 by 1', '30 by 1', '30 by 1'])
  assert.equal(plant.taken(), 3)
  await feed(plant, ingest, 18, 40)
  await plant.line.seconds(10, ingest)
  await plant.settled()
  assertAccounted(plant, 40)
})

schedule('row 20: a power loss that takes the samples a window was closed by away takes the decision away', async (plant, ingest) => {
  const { line } = plant
  await feed(plant, ingest, 1, 9)
  const before = line.store.partition('telemetry', 0).high
  await feed(plant, ingest, 10, 17)
  await line.seconds(4, ingest)
  await plant.settled()
  await plant.replay()
  const first = await plan(plant)
  assert.deepEqual(windowsOf(first), [0, 4, 8])
  const loses = async (): Promise<void> => line.powerLoss({ telemetry: before })
  await assert.rejects(promote(plant, first, loses), { code: 'ANDON_CLI_PROMOTE_UNSETTLED' })
  assert.deepEqual(windowsOf(await plan(plant)), [0], 'what closed the later ones is lost: they are open again')
  // The device's readings were acknowledged: ingest sends them again, the windows close, and the promotion goes through.
  await line.seconds(20, ingest)
  await plant.settled()
  await promote(plant, await plan(plant))
  await plant.settled()
  assert.deepEqual(plant.judged(0, 4, 8), ['30 by 1', '30 by 1', '30 by 1'])
  assertAccounted(plant, 17)
})
