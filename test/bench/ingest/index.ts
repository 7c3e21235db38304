// The benchmarks of ingest, in the order in which `npm run bench -- ingest` runs them.

import type { Benchmark } from '../benchmark.ts'
import { ingestCore } from './core.ts'
import { csvFiles } from './files.ts'
import { httpAvro, httpBatches, httpMemory, httpSingles } from './http.ts'
import { mqttMessages } from './mqtt.ts'
import { ingestSpool } from './spool.ts'

export const INGEST: readonly Benchmark[] = [
  ingestCore,
  ingestSpool,
  httpBatches,
  httpAvro,
  httpSingles,
  httpMemory,
  mqttMessages,
  csvFiles,
]
