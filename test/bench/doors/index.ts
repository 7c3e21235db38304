// Benchmarks of the actions service's doors.

import type { Benchmark } from '../benchmark.ts'
import { fanOut } from './fan-out.ts'
import { webhooks } from './webhooks.ts'

export const DOORS: readonly Benchmark[] = [fanOut, webhooks]
