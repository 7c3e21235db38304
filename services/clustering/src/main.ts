// Starts the clustering service as this process.

import { runService } from '@andon/kit'
import { loadConfig } from './config.ts'
import { createClusteringService } from './service.ts'

await runService(() => createClusteringService(loadConfig(process.env)))
