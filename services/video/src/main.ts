// Starts video.

import { runService } from '@andon/kit'
import { loadConfig } from './config.ts'
import { createVideoService } from './service.ts'

await runService(() => createVideoService(loadConfig(process.env)))
