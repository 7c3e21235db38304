import { runService } from '@andon/kit'
import { loadConfig } from './config.ts'
import { createConsoleService } from './service.ts'

await runService(() => createConsoleService(loadConfig(process.env)))
