// Kafka door: reads the topics of other clusters that source files of kind kafka name.

import { defineDoor } from '../doors.ts'
import type { Assignment, SourceFiles } from '../doors.ts'
import { pullSources } from '../pull-sources.ts'
import type { PullSources } from '../pull-sources.ts'
import { openKafkaLink } from './kafka-link.ts'
import type { KafkaFile, KafkaLinkDeps } from './kafka-link.ts'
import type { Source } from './source.ts'
import { streamMetrics } from './stream-metrics.ts'

export interface KafkaDoorOptions extends Omit<KafkaLinkDeps, 'file' | 'intake' | 'password'> {
  readonly sources: SourceFiles
  readonly passwordOf: (file: KafkaFile) => string | undefined
}

export const kafkaDoorKind = defineDoor({
  name: 'kafka',
  about: 'topics of other Kafka clusters that sources/*.yaml name',
  settings: {},
  open: (_settings, { config, sources, logger, metrics }) =>
    kafkaDoor({
      instance: config.instance,
      sources,
      // The source file names the variable, within INGEST_SECRET_.
      passwordOf: ({ sasl }) => sasl && process.env[sasl.passwordFrom],
      logger,
      metrics: streamMetrics(metrics),
    }),
})

// The group on the other cluster shares the partitions out, so every instance reads every topic.
const everyones: Assignment = { isMine: () => true, onChange: () => () => undefined }

export const kafkaDoor = ({ sources, passwordOf, ...deps }: KafkaDoorOptions): Source => {
  let running: PullSources | undefined
  return {
    name: 'kafka',
    ready: () => running !== undefined || 'not started',
    start: async (intake) => {
      running = pullSources({
        kind: 'kafka',
        sources,
        assignment: everyones,
        logger: deps.logger,
        open: (file) => openKafkaLink({ ...deps, file, intake, password: passwordOf(file) }),
      })
    },
    stop: async () => {
      await running?.stop()
      running = undefined
    },
  }
}
