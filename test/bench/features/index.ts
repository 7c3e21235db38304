// The benchmarks of features, in the order in which `npm run bench -- features` runs them.

import type { Benchmark } from '../benchmark.ts'
import { processing, streaming, transactional } from './process.ts'
import { rebuild } from './rebuild.ts'
import { spectra } from './spectra.ts'
import { memory, scale } from './size.ts'
import { rolling, statistics } from './statistics.ts'

export const FEATURES: readonly Benchmark[] = [statistics, spectra, rolling, memory, scale, streaming, processing, transactional, rebuild]
