// A hold on everything over several partitions: doors, owners and carriers that die half-way, copies and lifts that overtake each other.
// The kernel folds, decides and says what is still to be carried; an independent fold says which holds ought to be active.

import { ownershipTaken, sign } from '@andon/decisions'
import type { Actions } from '@andon/schemas'
import type { Model, Move } from './checker.ts'
import { holding, lifting } from './execution.ts'
import { Prefixes } from './partition.ts'
import type { Prefix } from './partition.ts'
import type { Rules } from './rules.ts'

const NOW_US = 1_790_000_000_000_000
const HOME = 0
const EVERYWHERE = '*'

export interface HoldScenario {
  readonly partitions: number
  /** Presses of the cord, by different people. */
  readonly presses: number
  /** How often somebody who carries dies, with all that it has under way. */
  readonly crashes: number
  /** How often a copy lands twice. */
  readonly repeats: number
}

interface Copy {
  readonly to: number
  readonly request: Actions
}

interface Mesh {
  readonly logs: readonly Prefix[]
  readonly flights: readonly Copy[]
  /** Presses and lifts so far; the door that was asked lives. */
  readonly pressed: number
  readonly liftAsked: boolean
  readonly doorLives: boolean
  readonly crashes: number
  readonly repeats: number
}

const idOf = (press: number): string => `h${press + 1}`

export class Holds implements Model<Mesh> {
  readonly initial: Mesh
  private readonly scenario: HoldScenario
  private readonly rules: Rules
  private readonly prefixes: readonly Prefixes[]

  constructor(scenario: HoldScenario, rules: Rules) {
    this.scenario = scenario
    this.rules = rules
    this.prefixes = Array.from({ length: scenario.partitions }, () => new Prefixes(rules))
    this.initial = {
      logs: this.prefixes.map((one) => one.after(one.root, [ownershipTaken(EVERYWHERE, 1, 'owner', NOW_US)], NOW_US)),
      flights: [],
      pressed: 0,
      liftAsked: false,
      doorLives: true,
      crashes: scenario.crashes,
      repeats: scenario.repeats,
    }
  }

  key({ logs, flights, ...rest }: Mesh): string {
    const flying = flights.map((one) => `${one.to}${one.request.id}`).toSorted()
    return [logs.map((one) => one.id), flying, ...Object.values(rest)].join('|')
  }

  broken({ logs }: Mesh): string | null {
    for (const [at, { state, judged }] of logs.entries()) {
      const active = new Set([...state.holds.values()].filter((hold) => hold.isActive).map((hold) => hold.id))
      const missing = judged.holds.find((id) => !active.has(id))
      if (missing !== undefined) return `hold ${missing} does not hold in partition ${at}, and nobody lifted it`
      const risen = judged.lifted.find((id) => active.has(id))
      if (risen !== undefined) return `hold ${risen} was lifted and holds again in partition ${at}`
    }
    return null
  }

  stuck({ logs }: Mesh): string | null {
    const home = logs[HOME]!.judged.holds.toSorted().join()
    const other = logs.findIndex(({ judged }) => judged.holds.toSorted().join() !== home)
    return other < 0 ? null : `at rest partition ${other} holds {${logs[other]!.judged.holds.join()}}, home holds {${home}}`
  }

  moves(mesh: Mesh): readonly Move<Mesh>[] {
    const moves: Move<Mesh>[] = []
    const add = (name: string, next: () => Mesh, isFault = false): void => void moves.push({ name, isFault, next })
    const { pressed, flights } = mesh
    if (pressed < this.scenario.presses) add(`the door appends ${idOf(pressed)} to its home`, () => this.press(mesh))
    const isKnown = mesh.logs[HOME]!.state.holds.has(idOf(0))
    if (!mesh.liftAsked && isKnown)
      add('somebody asks to lift h1', () => ({ ...this.land(mesh, HOME, lifting('l1', [idOf(0)])), liftAsked: true }))
    mesh.logs.forEach((_, at) => this.ownerMoves(mesh, at, add))
    this.carryingMoves(mesh, add)
    flights.forEach((copy, at) => {
      const landed = { ...mesh, flights: flights.filter((_, other) => other !== at) }
      const what = `${copy.request.type} ${copy.request.id.slice(0, 8)} lands in partition ${copy.to}`
      add(what, () => this.land(landed, copy.to, copy.request))
      if (mesh.repeats > 0)
        add(`${what}, and will land again`, () => this.land({ ...mesh, repeats: mesh.repeats - 1 }, copy.to, copy.request), true)
    })
    if (mesh.crashes > 0) {
      const crashes = mesh.crashes - 1
      add('the owner of the home partition dies with what it carries', () => ({ ...mesh, crashes, flights: [] }), true)
      if (mesh.doorLives) add('the door dies with what it sends', () => ({ ...mesh, crashes, flights: [], doorLives: false }), true)
    }
    return moves
  }

  private land(mesh: Mesh, to: number, request: Actions): Mesh {
    const logs = mesh.logs.map((log, at) => (at === to ? this.prefixes[at]!.after(log, [request], NOW_US) : log))
    return { ...mesh, logs }
  }

  /** Home first: that is the acknowledgement. To all others at once, for speed. */
  private press(mesh: Mesh): Mesh {
    const request = holding(idOf(mesh.pressed))
    const copies = mesh.logs
      .keys()
      .filter((to) => to !== HOME)
      .map((to) => ({ to, request }))
    const sends = mesh.doorLives ? [...copies] : []
    return { ...this.land(mesh, HOME, request), pressed: mesh.pressed + 1, flights: [...mesh.flights, ...sends] }
  }

  private ownerMoves(mesh: Mesh, at: number, add: (name: string, next: () => Mesh) => void): void {
    const { state } = mesh.logs[at]!
    const [pending] = state.pending.values()
    if (!pending) return
    const facts = sign(this.rules.decide(pending.record, state, { atUs: NOW_US, commands: new Map(), plan: null }), 1, 'owner')
    add(`partition ${at} decides ${pending.record.type} ${pending.record.id.slice(0, 8)}`, () => ({
      ...mesh,
      logs: mesh.logs.map((log, other) => (other === at ? this.prefixes[at]!.after(log, facts, NOW_US) : log)),
    }))
  }

  private carryingMoves(mesh: Mesh, add: (name: string, next: () => Mesh) => void): void {
    if (!this.rules.ownerCarries && !mesh.doorLives) return
    mesh.logs.forEach((log, to) => {
      if (to === HOME) return
      const requests = this.rules.carriedHolds(mesh.logs[HOME]!.state, log.state, EVERYWHERE, NOW_US)
      for (const request of requests) {
        const isUnderWay = mesh.flights.some((one) => one.to === to && one.request.id === request.id)
        if (isUnderWay || log.state.answers.has(request.id)) continue
        add(`${request.type} ${request.id.slice(0, 8)} is carried to partition ${to}`, () => ({
          ...mesh,
          flights: [...mesh.flights, { to, request }],
        }))
      }
    })
  }
}

export const HOLD_SCENARIOS = {
  'one press over three partitions': { partitions: 3, presses: 1, crashes: 1, repeats: 1 },
  'two presses over two partitions': { partitions: 2, presses: 2, crashes: 1, repeats: 1 },
} satisfies Record<string, HoldScenario>
