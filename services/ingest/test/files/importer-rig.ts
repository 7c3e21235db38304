// What the importer and the doors for files are given in a test: a folder, a log in memory, the plant of the other tests.

import { join } from 'node:path'
import { createLogger, createMetrics } from '@andon/kit'
import type { Log } from '@andon/kit'
import type { DoorContext } from '../../src/doors.ts'
import { plainCodec, plant } from '../rig.ts'

/** As of one process: the next one has a context of its own on the same folder. */
export const importerContext = (folder: string, log: Log, instance = 'ingest-0'): DoorContext =>
  ({
    config: { dataDir: join(folder, 'data'), instance, blobDir: join(folder, 'blobs') },
    logger: createLogger({ service: 'ingest', level: 'silent' }),
    metrics: createMetrics('ingest'),
    sources: { of: () => [] },
    documents: () => ({ get: () => ({ value: plant }) }),
    log: () => log,
    codec: () => plainCodec,
  }) as unknown as DoorContext
