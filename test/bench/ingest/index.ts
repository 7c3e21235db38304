// The benchmarks of ingest, in the order in which `npm run bench -- ingest` runs them.

import type { Benchmark } from '../benchmark.ts'
import { httpAvro, httpBatches, httpMemory, httpSingles } from './http.ts'
import { mqttMessages } from './mqtt.ts'

export const INGEST: readonly Benchmark[] = [httpBatches, httpAvro, httpSingles, httpMemory, mqttMessages]
