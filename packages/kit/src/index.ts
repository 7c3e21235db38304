// What services share, one import: `import { readConfig, runService } from '@andon/kit'`.

export * from './blobs.ts'
export * from './errors.ts'
export * from './flow.ts'
export * from './ids.ts'
export * from './logger.ts'
export * from './metrics.ts'
export * from './settings.ts'
export * from './trace.ts'
