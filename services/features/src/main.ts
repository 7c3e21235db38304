// Starts the features service as this process.

import { runService } from '@andon/kit'
import { loadConfig } from './config.ts'
import { createFeaturesService } from './service.ts'

await runService(() => createFeaturesService(loadConfig(process.env)))
