// The schedules T1-T20 of notes/actions-protocol.md §6 that need no broker, and random interleavings of two owners.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { carriedHolds, emptyState, evolve, fold, ownershipTaken, record, sign } from '../src/index.ts'
import type { State } from '../src/index.ts'
import { copied, deciding, findingOf, holding, lifting, LINE, MINUTE, SECOND, T0 } from './fixtures.ts'
import { Partition } from './partition.ts'
import { SETTLE_MS, World } from './world.ts'

/** A finding with an undecided pause, decided by owner A. */
const proposed = (names = 'AB'): World => {
  const world = new World(names)
  for (const owner of world.owners.slice(1)) owner.isAssigned = false
  world.append(copied())
  const a = world.owner('A')
  // only the pause reaches a machine: the other steps are settled by rejecting nothing and executing first
  world.run(a)
  finishOthers(world)
  return world
}

/** Runs the steps that need nobody to their end, so that the pause is the only one left. */
const finishOthers = (world: World): void => {
  const a = world.owner('A')
  for (let round = 0; round < 6; round += 1) {
    world.targetActs()
    world.run(a)
  }
}

const pauseOf = (state: State) => {
  const step = [...state.steps.values()].find((one) => one.name === 'pause')
  assert.ok(step)
  return step
}

const approval = (world: World, by = 'p-operator') => {
  const step = pauseOf(world.state())
  return deciding('approve', step.id, step.proposal.command.commandHash, by, { atUs: world.nowUs, id: `approve-${by}-${step.round}` })
}

const revocation = (world: World) => {
  const step = pauseOf(world.state())
  return deciding('revoke', step.id, step.proposal.command.commandHash, 'p-operator', { atUs: world.nowUs })
}

const pauses = (world: World): number => world.effects.filter((one) => one.stepId === pauseOf(world.state()).id).length

/** A has written the intent of the approved pause and has to confirm it. */
const intended = (): World => {
  const world = proposed()
  world.append(approval(world))
  const a = world.owner('A')
  for (let left = 20; left > 0 && a.phase !== 'confirming'; left -= 1) world.moves(a)[0]?.[1]()
  assert.equal(a.phase, 'confirming')
  return world
}

const move = (world: World, to: string): void => {
  for (const owner of world.owners) owner.isAssigned = owner.name === to
}

const outcomesOf = (world: World): string[] => {
  const kinds = new Set(['Executed', 'RejectedByTarget', 'ExecutionAbandoned', 'NotExecuted', 'NotObserved'])
  const state = emptyState()
  const found: string[] = []
  for (const entry of world.log) {
    const isPause = entry.record.stepId !== null && state.steps.get(entry.record.stepId)?.name === 'pause'
    if (evolve(state, entry) === 'counted' && isPause && kinds.has(entry.record.type)) found.push(entry.record.type)
  }
  return found
}

describe('ownership', () => {
  test('T1 two takers read the same epoch: the first in the log wins, the loser goes higher', () => {
    const world = new World()
    const [a, b] = [world.owner('A'), world.owner('B')]
    world.take(a)
    world.take(b)
    world.land(a)
    world.land(b)
    assert.deepEqual([a.phase, b.phase], ['running', 'off'])
    world.take(b)
    assert.equal(b.flight?.facts[0]?.epoch, 2)
  })

  test('T2 a stray OwnershipTaken that is lower or equal changes nothing; a higher one ends the owner', () => {
    const partition = new Partition()
    partition.take('owner-2', 5)
    const land = (epoch: number) => partition.land(ownershipTaken(LINE, epoch, `stray-${epoch}`, partition.nowUs))
    assert.deepEqual([land(4), land(5)], ['void-owner', 'void-owner'])
    assert.equal(partition.state.owner, 'owner-2')
    assert.equal(land(6), 'counted')
    assert.equal(
      partition.write([record('HoldLifted', 'x', LINE, partition.nowUs, { hold: { holdIds: ['h'], scope: '*', reason: '' } })])[0],
      'void-owner',
    )
    assert.equal(partition.state.liftedHolds.size, 0)
  })

  test('T3 a zombie retakes, the assigned owner takes again, and each request gets one answer', () => {
    const world = proposed()
    const [a, b] = [world.owner('A'), world.owner('B')]
    move(world, 'B')
    world.run(b)
    a.isAssigned = true
    a.phase = 'off'
    world.run(a, 2)
    world.append(approval(world))
    a.isAssigned = false
    world.run(b)
    world.targetActs()
    world.run(b)
    assert.equal(pauses(world), 1)
    assert.equal(world.state().pending.size, 0)
    assert.deepEqual(outcomesOf(world), ['Executed'])
  })

  test('T11 a clock two hours off never becomes owner, so no approval counts on it', () => {
    for (const hours of [-2, 2]) {
      const world = new World()
      const a = world.owner('A')
      a.clockUs = hours * 3600 * SECOND
      world.append(copied())
      world.run(a)
      assert.equal(a.phase, 'down')
      assert.equal(world.state().epoch, 0)
      assert.equal(world.state().incidents.size, 0)
    }
  })

  test('T12 an append delayed by 61 s is void, is decided again, and the partition stays open', () => {
    const world = proposed()
    world.append(approval(world))
    const a = world.owner('A')
    world.work(a)
    world.nowUs += 61 * SECOND
    world.land(a)
    assert.equal(a.phase, 'off')
    assert.equal(pauseOf(world.state()).status, 'awaiting-approval')
    world.run(a)
    world.targetActs()
    world.run(a)
    assert.deepEqual(outcomesOf(world), ['Executed'])
  })
})

describe('appends with unknown results', () => {
  for (const lands of ['now', 'later', 'never'] as const)
    for (const crash of [false, true])
      test(`T4 the outcome's append lands ${lands}${crash ? ', with a crash' : ''}: one outcome`, () => {
        const world = intended()
        const a = world.owner('A')
        world.run(a, 2)
        world.targetActs()
        world.work(a)
        if (crash) world.crash(a, lands)
        else world.loseAppend(a, lands)
        world.run(a)
        world.landStray()
        world.nowUs += (SETTLE_MS + 1) * 1000
        world.run(a)
        assert.equal(pauses(world), 1)
        assert.deepEqual(outcomesOf(world), ['Executed'])
      })

  for (const lands of ['now', 'later', 'never'] as const)
    test(`T5 the intent's append lands ${lands}: at most one effect, and the intent is settled`, () => {
      const world = proposed()
      world.append(approval(world))
      const a = world.owner('A')
      for (let left = 10; left > 0 && a.flight?.facts[0]?.type !== 'Executing'; left -= 1) world.moves(a)[0]?.[1]()
      world.loseAppend(a, lands)
      for (let round = 0; round < 8; round += 1) {
        world.run(a)
        world.landStray()
        world.nowUs += (SETTLE_MS + 1) * 1000
        world.run(a)
        world.targetActs()
      }
      world.run(a)
      assert.equal(pauses(world), 1)
      assert.equal(pauseOf(world.state()).status, 'executed')
    })
})

describe('between the intent and the effect', () => {
  test('T6 an owner stopped past the window does not send', () => {
    const world = intended()
    world.nowUs += 11 * SECOND
    world.run(world.owner('A'))
    assert.equal(pauses(world), 0)
    assert.equal(outcomesOf(world)[0], 'ExecutionAbandoned')
  })

  test('T7 a command that arrives after it was burnt is refused by the target', () => {
    const world = intended()
    const [a, b] = [world.owner('A'), world.owner('B')]
    world.confirm(a)
    world.send(a)
    move(world, 'B')
    world.run(b)
    world.nowUs += (SETTLE_MS + 1) * 1000
    world.run(b, 4)
    assert.deepEqual(outcomesOf(world), ['NotExecuted'])
    world.targetActs()
    assert.equal(pauses(world), 0)
  })

  test('T7 a class iii target asks a human after NotObserved and is not tried again by itself', () => {
    const world = intended()
    world.commandClass = 'iii'
    const [a, b] = [world.owner('A'), world.owner('B')]
    world.confirm(a)
    world.send(a)
    world.loseCommand()
    move(world, 'B')
    world.run(b)
    world.nowUs += (SETTLE_MS + 1) * 1000
    world.run(b)
    assert.equal(pauseOf(world.state()).status, 'unsure')
    world.nowUs += 60 * SECOND
    world.run(b)
    assert.equal(world.wire.length, 0)
    world.append(approval(world))
    world.run(b)
    world.targetActs()
    world.run(b)
    assert.deepEqual(outcomesOf(world), ['NotObserved', 'Executed'])
  })

  test("T8 a zombie's outcome after the take is void; the new owner settles by reading back", () => {
    const world = intended()
    const [a, b] = [world.owner('A'), world.owner('B')]
    world.confirm(a)
    world.send(a)
    world.targetActs()
    world.work(a)
    move(world, 'B')
    world.run(b)
    world.land(a)
    assert.deepEqual(outcomesOf(world), [])
    world.nowUs += (SETTLE_MS + 1) * 1000
    world.run(b)
    assert.deepEqual(outcomesOf(world), ['Executed'])
    assert.equal(pauses(world), 1)
  })

  test('T9 a settler that dies half-way is replaced by a third owner: one outcome', () => {
    const world = intended()
    world.owners.push(Object.assign(new World('C').owner('C'), { isAssigned: false }))
    const [a, b, c] = [world.owner('A'), world.owner('B'), world.owner('C')]
    world.confirm(a)
    world.send(a)
    world.targetActs(true)
    move(world, 'B')
    world.run(b)
    world.nowUs += (SETTLE_MS + 1) * 1000
    world.work(b)
    move(world, 'C')
    world.run(c)
    world.land(b)
    world.nowUs += (SETTLE_MS + 1) * 1000
    world.run(c)
    assert.deepEqual(outcomesOf(world), ['Executed'])
    assert.equal(pauses(world), 1)
  })

  test('T10 a settler whose clock is 50 s ahead does not settle before the command can be seen', () => {
    for (const [first, second] of [
      [-50, 50],
      [50, -50],
    ]) {
      const world = intended()
      const [a, b] = [world.owner('A'), world.owner('B')]
      a.clockUs = (first ?? 0) * SECOND
      b.clockUs = (second ?? 0) * SECOND
      a.phase = 'confirming'
      if (a.intent) Object.assign(a.intent, { wallUs: a.intent.startedUs + a.clockUs })
      world.confirm(a)
      world.send(a)
      move(world, 'B')
      world.run(b)
      world.nowUs += 12 * SECOND
      world.run(b)
      assert.deepEqual(outcomesOf(world), [])
      world.targetActs()
      world.nowUs += (SETTLE_MS + 1) * 1000
      world.run(b)
      assert.deepEqual(outcomesOf(world), ['Executed'])
    }
  })

  test('T13 an approval that arrives while the owner is away over the deadline is too late', () => {
    for (const beforeUs of [1, 0, -1]) {
      const world = proposed()
      const { expiresUs } = pauseOf(world.state()).proposal
      world.nowUs = expiresUs - beforeUs
      world.append(approval(world))
      world.nowUs = expiresUs + SECOND
      world.run(world.owner('A'), 40)
      assert.equal(pauseOf(world.state()).status, 'expired')
      assert.equal(pauses(world), 0)
    }
  })

  test('T13 an intent just before the expiry is not sent after it', () => {
    const world = proposed()
    const { expiresUs } = pauseOf(world.state()).proposal
    world.nowUs = expiresUs - SECOND
    world.append(approval(world))
    const a = world.owner('A')
    for (let left = 40; left > 0 && a.phase !== 'confirming'; left -= 1) {
      world.moves(a)[0]?.[1]()
      if (a.phase === 'sent') world.targetActs()
    }
    world.confirm(a)
    world.nowUs = expiresUs + 1
    world.send(a)
    assert.equal(world.wire.length, 0)
    world.run(a)
    assert.equal(pauses(world), 0)
  })

  test('T14 a revocation before the intent, before the read-back or before the send stops the command', () => {
    for (const place of ['before-intent', 'before-read-back', 'before-send'] as const) {
      const world = place === 'before-intent' ? proposed() : intended()
      const a = world.owner('A')
      if (place === 'before-intent') world.append(approval(world))
      if (place === 'before-send') {
        world.confirm(a)
        world.nowUs += SECOND
      }
      world.append(revocation(world))
      world.run(a)
      assert.equal(pauses(world), 0, place)
      assert.equal(pauseOf(world.state()).status, 'revoked', place)
    }
  })

  test('T14 a revocation after the send does not recall it, and allows no second attempt', () => {
    const world = intended()
    const a = world.owner('A')
    world.confirm(a)
    world.send(a)
    world.append(revocation(world))
    world.loseCommand()
    world.giveUp(a)
    world.run(a)
    world.nowUs += (SETTLE_MS + 1) * 1000
    world.run(a)
    world.nowUs += 5 * 60 * SECOND
    world.run(a)
    assert.equal(pauseOf(world.state()).status, 'revoked')
    assert.equal(pauses(world), 0)
  })

  test('T15 a hold before the intent, the read-back or the send stops the command; after the send its outcome is recorded', () => {
    for (const place of ['before-intent', 'before-read-back', 'before-send', 'after-send'] as const) {
      const world = place === 'before-intent' ? proposed() : intended()
      const a = world.owner('A')
      if (place === 'before-intent') world.append(approval(world))
      if (place === 'before-send' || place === 'after-send') world.confirm(a)
      if (place === 'before-send') world.nowUs += SECOND
      if (place === 'after-send') world.send(a)
      world.append(holding('h-1', '*', world.nowUs))
      world.run(a)
      world.targetActs()
      world.run(a)
      assert.equal(pauses(world), place === 'after-send' ? 1 : 0, place)
    }
  })

  test('T19 the target acts and the answer is lost, or the command is lost: the ledger shows at most one effect', () => {
    for (const isLost of [true, false]) {
      const world = intended()
      const a = world.owner('A')
      world.confirm(a)
      world.send(a)
      if (isLost) world.loseCommand()
      else world.targetActs(true)
      world.giveUp(a)
      for (let round = 0; round < 4; round += 1) {
        world.nowUs += (SETTLE_MS + 1) * 1000
        world.run(a)
        world.targetActs()
        world.run(a)
      }
      assert.equal(pauses(world), 1)
      assert.equal(pauseOf(world.state()).status, 'executed')
    }
  })

  test('T21 a read-back that took longer than 500 ms is asked again, one longer than the window abandons', () => {
    const world = intended()
    const a = world.owner('A')
    world.confirm(a)
    assert.equal(a.phase, 'ready-to-send')
    world.nowUs += 600_000
    world.send(a)
    assert.equal(a.phase, 'confirming')
    world.nowUs += 10 * SECOND
    world.confirm(a)
    assert.deepEqual(a.todo?.kind, 'ExecutionAbandoned')
  })

  test('T22 after a suspend of the machine, monotonic still and wall jumped, nothing is sent', () => {
    const world = intended()
    const a = world.owner('A')
    a.clockUs += 30 * SECOND
    world.confirm(a)
    world.run(a)
    assert.equal(outcomesOf(world)[0], 'ExecutionAbandoned')
  })
})

describe('holds', () => {
  test('T16 hold, lift asked, second hold, lift: still held; a re-sent first hold does not hold again', () => {
    const partition = new Partition()
    partition.land(holding('h-1'))
    partition.land(lifting('l-1', ['h-1']))
    partition.land(holding('h-2'))
    while (partition.state.pending.size > 0) partition.decideNext()
    partition.land({ ...holding('h-1'), id: 'h-1-again' })
    assert.deepEqual(
      [...partition.state.holds.values()].map((hold) => [hold.id, hold.isActive]),
      [
        ['h-1', false],
        ['h-2', true],
      ],
    )
  })

  test('T17 a lift that overtakes its hold in a partition still wins', () => {
    const partition = new Partition()
    partition.ask(lifting('l-1', ['h-1'], T0, JSON.stringify({ carried: true })))
    partition.ask(holding('h-1'))
    assert.equal(partition.state.holds.get('h-1')?.isActive, false)
  })

  test('T17 the home partition brings what another one lacks, lifts included, and then nothing more', () => {
    const [home, elsewhere] = [new Partition(), new Partition()]
    for (const id of ['h-1', 'h-2']) home.ask(holding(id))
    home.ask(holding('h-line', LINE))
    home.ask(lifting('l-1', ['h-1']))
    const carry = () => carriedHolds(home.state, elsewhere.state, '*', T0)
    assert.deepEqual(
      carry().map((one) => [one.type, one.hold?.holdIds[0]]),
      [
        ['HoldLiftRequested', 'h-1'],
        ['HoldRequested', 'h-2'],
      ],
    )
    // whoever carries, and however often: the ids are the same
    assert.deepEqual(carry(), carry())
    for (const request of carry()) elsewhere.ask(request)
    assert.deepEqual(carry(), [])
    assert.equal(elsewhere.state.holds.get('h-2')?.isActive, true)
    elsewhere.ask(holding('h-1'))
    assert.equal(elsewhere.state.holds.get('h-1')?.isActive, false)
  })

  test('T18 a door that appends each request twice, the second after its outcome, gets one outcome', () => {
    const partition = new Partition()
    partition.ask(copied())
    const before = partition.entries.length
    assert.equal(partition.land(copied()), 'repeat')
    assert.deepEqual(partition.decideNext(), [])
    assert.equal(partition.entries.length, before + 1)
  })
})

/** What happens when nothing goes wrong: an owner's next move, or the target's. */
const progress = (world: World, choice: number): void => {
  const moves = world.owners.flatMap((owner) => world.moves(owner).map(([, run]) => run))
  if (world.wire.length > 0) moves.push(() => world.targetActs())
  moves[choice % moves.length]?.()
}

/** What goes wrong: lost acknowledgements, strays, crashes, moved partitions, lost commands, time. */
const trouble = (world: World, choice: number): void => {
  const moves: (() => void)[] = []
  for (const owner of world.owners) {
    if (owner.flight) for (const lands of ['now', 'later', 'never'] as const) moves.push(() => world.loseAppend(owner, lands))
    moves.push(
      () => world.crash(owner, 'later'),
      () => void (owner.isAssigned = !owner.isAssigned),
    )
  }
  if (world.strays.length > 0) moves.push(() => world.landStray())
  if (world.wire.length > 0)
    moves.push(
      () => world.targetActs(true),
      () => world.loseCommand(),
    )
  const waits = [200_000, SECOND, (SETTLE_MS + 1) * 1000, 4 * MINUTE]
  for (const us of waits) moves.push(() => void (world.nowUs += us))
  moves[choice % moves.length]?.()
}

const people = (world: World, choice: number): void => {
  const step = [...world.state().steps.values()].find((one) => one.name === 'pause')
  if (!step) return
  const asks = [
    () => world.append(approval(world)),
    () => world.append(approval(world, 'p-lead')),
    () => world.append(revocation(world)),
    () => world.append(holding(`h-${choice}`, '*', world.nowUs)),
    () => world.append(lifting(`l-${choice}`, [...world.state().holds.keys()].slice(0, 1), world.nowUs)),
    () => world.append(copied(findingOf({ findingId: `f-${choice}`, transition: 'updated' }))),
  ]
  asks[choice % asks.length]?.()
}

/** One action of somebody; owners mostly get on, people and trouble come in between. */
const happen = (world: World, [kind, choice]: [number, number]): void => {
  // a command in flight arrives within the target's latency or never
  const late = world.wire.findIndex((command) => world.nowUs - command.sentUs > 3 * SECOND)
  if (late >= 0) world.wire.splice(late, 1)
  if (kind < 14) progress(world, choice)
  else if (kind < 17) people(world, choice)
  else trouble(world, choice)
}

describe('any interleaving of two owners', () => {
  const schedule = fc.array(fc.tuple(fc.nat({ max: 19 }), fc.nat({ max: 5_000 })), { minLength: 30, maxLength: 200 })
  for (const commandClass of ['ii', 'iii'])
    test(`never executes without approval, after expiry, twice or under a hold before the intent (class ${commandClass})`, () => {
      let pausesSeen = 0
      fc.assert(
        fc.property(schedule, (choices) => {
          const world = proposed()
          world.commandClass = commandClass
          for (const owner of world.owners) owner.isAssigned = true
          // World.judge asserts the promises at each effect
          for (const choice of choices) happen(world, choice)
          assert.ok(outcomesOf(world).filter((kind) => kind === 'Executed').length <= 1)
          pausesSeen += pauses(world)
        }),
        { numRuns: 400 },
      )
      assert.ok(pausesSeen > 20, `only ${pausesSeen} schedules paused the line: they prove nothing`)
    })

  test('comes to rest: every request is answered and every intent settled once one owner is left alone', () => {
    fc.assert(
      fc.property(schedule, (choices) => {
        const world = proposed()
        for (const choice of choices) happen(world, choice)
        move(world, 'B')
        const b = world.owner('B')
        for (let round = 0; round < 60; round += 1) {
          world.landStray()
          world.run(b)
          world.targetActs()
          if (b.phase === 'sent' && world.wire.length === 0) world.giveUp(b)
          world.run(b)
          world.nowUs += (SETTLE_MS + 1) * 1000
        }
        const state = world.state()
        assert.equal(state.pending.size, 0)
        assert.ok([...state.steps.values()].every((step) => step.open === null))
      }),
      { numRuns: 100 },
    )
  })

  test('T20 a reader that joins later, or reads in pieces, knows the same', () => {
    fc.assert(
      fc.property(schedule, fc.nat(), (choices, cut) => {
        const world = proposed()
        for (const choice of choices) happen(world, choice)
        const at = cut % (world.log.length + 1)
        const state = fold(world.log.slice(0, at))
        for (const entry of world.log.slice(Math.max(0, at - 3))) evolve(state, entry)
        assert.deepEqual(state, fold(world.log))
      }),
      { numRuns: 100 },
    )
  })

  test('a fact that its owner did not sign changes nothing', () => {
    const partition = new Partition()
    partition.ask(copied())
    const before = structuredClone(partition.state)
    const forged = sign(
      [record('StepRejected', 'x', LINE, partition.nowUs, { stepId: partition.step('pause').id })],
      partition.epoch,
      'somebody-else',
    )
    assert.equal(partition.land(forged[0] as (typeof forged)[0]), 'void-owner')
    assert.deepEqual({ ...partition.state, nextOffset: 0 }, { ...before, nextOffset: 0 })
  })
})
