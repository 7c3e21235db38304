// All faults by id, in the order in which `core` runs them.

import type { Fault } from './fault.ts'

export const FAULTS: readonly Fault[] = []
