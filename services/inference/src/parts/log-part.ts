// The log, and the topics that are read and written.

import type { OpenLog, Part } from '@andon/kit'
import { topology } from '@andon/schemas'
import type { Surroundings } from './opened.ts'

export const logPart = (open: OpenLog, { opened }: Surroundings): Part => ({
  name: 'log',
  start: async () => {
    const { log, codec } = await open()
    opened.log = log
    opened.codec = codec
    const names = ['features', 'predictions', 'models'] as const
    await log.admin.ensureTopics(
      names.map((name) => ({ name, partitions: topology.topics[name].partitions, configs: topology.topics[name].configs })),
    )
  },
  stop: async () => opened.log?.close(),
})
