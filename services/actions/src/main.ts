// Starts the process, nothing else.

import { runService } from '@andon/kit'
import { loadConfig } from './config.ts'
import { createActionsService } from './service.ts'

await runService(() => createActionsService(loadConfig(process.env)))
