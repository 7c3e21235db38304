// Starts the inference service as this process.

import { runService } from '@andon/kit'
import { loadConfig } from './config.ts'
import { createInferenceService } from './service.ts'

await runService(() => createInferenceService(loadConfig(process.env)))
