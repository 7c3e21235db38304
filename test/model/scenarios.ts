// Small worlds that are explored to the end, and which of the kernel's guards each of them needs.

import { approval, holding, lifting, revocation, stepIdOf } from './execution.ts'
import type { Said, Scenario } from './execution.ts'

const asked = [approval('q')]
/** Somebody looks at a target that shows no effect, and decides anew. */
const again: Said = {
  request: approval('q2', 0, 'p-lead'),
  when: (state) => state.steps.get(stepIdOf(0))?.status === 'unsure',
  isOptional: true,
}

export const SCENARIOS = {
  'the group moves the partition': { target: 'iii', asked, faults: { moves: 1 }, ticks: 5 },
  'an owner crashes twice': { target: 'iii', asked, faults: { crashes: 2 }, ticks: 5 },
  'a zombie takes again': { target: 'iii', asked, faults: { moves: 1, zombies: 1 }, ticks: 4 },
  'appends have no known result': { target: 'iii', asked, faults: { unknown: 2 }, ticks: 5 },
  'appends have no known result and the group moves': { target: 'iii', asked, faults: { moves: 1, unknown: 1 }, ticks: 4 },
  'a target that refuses late and repeated ids': { target: 'i', asked, faults: { crashes: 1, target: 2 }, ticks: 5 },
  'a target that refuses repeated ids': { target: 'ii', asked, faults: { crashes: 1, target: 2 }, ticks: 5 },
  'a target that refuses nothing': { target: 'iii', asked, said: [again], faults: { crashes: 1, target: 2 }, ticks: 9 },
  'a target that loses answers while the group moves': { target: 'iii', asked, faults: { moves: 1, target: 1 }, ticks: 5 },
  'a hold': { target: 'iii', asked, said: [{ request: holding('h1') }], faults: { moves: 1 }, ticks: 5 },
  'a hold, a lift and another hold': {
    target: 'iii',
    asked: [...asked, holding('h1'), lifting('l1', ['h1'])],
    said: [{ request: holding('h2') }],
    faults: { crashes: 1 },
    ticks: 4,
  },
  'a revocation': { target: 'iii', asked, said: [{ request: revocation('v1') }], faults: { moves: 1 }, ticks: 5 },
  'a request that is appended twice': {
    target: 'ii',
    asked,
    said: [{ request: revocation('v1') }],
    faults: { crashes: 1, repeats: 1 },
    ticks: 5,
  },
  'an expiry': { target: 'iii', asked, expires: 3, hasClock: true, faults: { crashes: 1 }, ticks: 5 },
  'a clock a minute ahead': { target: 'iii', asked, clocks: [0, 3], faults: { moves: 1 }, ticks: 5 },
  'clocks two minutes apart': { target: 'iii', asked, clocks: [-3, 3], faults: { moves: 1 }, ticks: 5 },
  'a clock two minutes slow': { target: 'iii', asked, expires: 2, clocks: [-6, 0], hasClock: true, faults: {}, ticks: 8 },
  'an append that lands late': { target: 'iii', asked, hasClock: true, faults: { unknown: 1 }, ticks: 6 },
  'two steps and a hold': {
    target: 'iii',
    steps: 2,
    asked: [approval('q0', 0), approval('q1', 1)],
    said: [{ request: holding('h1') }],
    faults: { crashes: 1 },
    ticks: 5,
  },
} satisfies Record<string, Scenario>

/** Too large for `npm test`. */
export const DEEP_SCENARIOS = {
  'three owners': { target: 'ii', owners: 3, asked, faults: { moves: 2, crashes: 1 }, ticks: 5 },
  'three owners and a target that refuses nothing': {
    target: 'iii',
    owners: 3,
    asked,
    said: [again],
    faults: { moves: 2, target: 1 },
    ticks: 9,
  },
  'three owners with clocks apart': { target: 'i', owners: 3, asked, clocks: [-2, 2, 0], faults: { moves: 2, unknown: 1 }, ticks: 5 },
} satisfies Record<string, Scenario>

/** A process that stops between its last check and the socket, for as long as it likes. */
export const stopped = (target: Scenario['target'], more: Partial<Scenario> = {}): Scenario => ({
  target,
  asked,
  said: [again],
  faults: { moves: 1 },
  stopsBeforeSend: true,
  ticks: 9,
  ...more,
})
