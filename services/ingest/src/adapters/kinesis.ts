// Kinesis door: reads the streams that source files of kind kinesis name. A stream is one instance's at a time.

import { defineDoor } from '../doors.ts'
import type { Assignment, SourceFiles } from '../doors.ts'
import type { KinesisPosition } from '../kinesis-shards.ts'
import { pullSources } from '../pull-sources.ts'
import type { PullSources } from '../pull-sources.ts'
import { openKinesisLink } from './kinesis-link.ts'
import type { KinesisFile, KinesisLinkDeps } from './kinesis-link.ts'
import { positionOnLog } from './log-positions.ts'
import type { PositionFile } from './positions.ts'
import type { Source } from './source.ts'
import { streamMetrics } from './stream-metrics.ts'

export interface KinesisDoorOptions extends Omit<KinesisLinkDeps, 'file' | 'intake' | 'position'> {
  readonly sources: SourceFiles
  readonly assignment: Assignment
  readonly positionOf: (file: KinesisFile) => PositionFile<KinesisPosition>
}

export const kinesisDoorKind = defineDoor({
  name: 'kinesis',
  about: 'Kinesis streams that sources/*.yaml name',
  settings: {},
  open: (_settings, { sources, assignment, log, logger, metrics }) =>
    kinesisDoor({
      sources,
      assignment,
      positionOf: ({ id }) => positionOnLog(log, `kinesis/${id}`),
      logger,
      metrics: streamMetrics(metrics),
      nowMs: Date.now,
      idleMs: 1000,
    }),
})

export const kinesisDoor = ({ sources, assignment, positionOf, ...deps }: KinesisDoorOptions): Source => {
  let running: PullSources | undefined
  return {
    name: 'kinesis',
    ready: () => running !== undefined || 'not started',
    start: async (intake) => {
      running = pullSources({
        kind: 'kinesis',
        sources,
        assignment,
        logger: deps.logger,
        open: (file) => openKinesisLink({ ...deps, file, intake, position: positionOf(file) }),
      })
    },
    stop: async () => {
      await running?.stop()
      running = undefined
    },
  }
}
