// Starts the demo plant.

import { runService } from '@andon/kit'
import { loadConfig } from './config.ts'
import { createSteelPlantService } from './service.ts'

await runService(() => createSteelPlantService(loadConfig(process.env)))
