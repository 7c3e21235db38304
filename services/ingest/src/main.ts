// The ingest process.

import { runService } from '@andon/kit'
import { loadConfig } from './config.ts'
import { createIngestService } from './service.ts'

await runService(() => createIngestService(loadConfig(process.env)))
