// OPC UA door: reads the servers that source files of kind opcua name, by subscription. Nothing is ever written to a server.

import { join } from 'node:path'
import { env } from '@andon/kit'
import { defineDoor } from '../doors.ts'
import type { DoorContext } from '../doors.ts'
import { pullSources } from '../pull-sources.ts'
import type { PullSources } from '../pull-sources.ts'
import { openOpcuaLink } from './opcua-link.ts'
import { opcuaMetrics } from './opcua-metrics.ts'
import { openPki } from './opcua-pki.ts'
import type { Pki } from './opcua-pki.ts'
import { positionFile } from './positions.ts'
import type { Source } from './source.ts'

export const opcuaDoorKind = defineDoor({
  name: 'opcua',
  about: 'a client of the OPC UA servers that sources/*.yaml name',
  settings: {
    pki: env.optional(
      env.path('INGEST_OPCUA_PKI', 'Folder of certificates: own, trusted, rejected; default ANDON_DATA_DIR/ingest/opcua-pki'),
    ),
  },
  open: ({ pki }, context) => opcuaDoor(context, pki ?? join(context.config.dataDir, 'ingest', 'opcua-pki')),
})

const opcuaDoor = ({ config, logger, metrics, sources, assignment }: DoorContext, pkiFolder: string): Source => {
  let opened: Promise<Pki> | undefined
  let running: PullSources | undefined
  const pki = (): Promise<Pki> => (opened ??= openPki(pkiFolder, config.instance))
  return {
    name: 'opcua',
    ready: () => running !== undefined || 'not started',
    start: async (intake) => {
      await pki()
      const counted = opcuaMetrics(metrics)
      running = pullSources({
        kind: 'opcua',
        sources,
        assignment,
        logger,
        open: (file) =>
          openOpcuaLink({
            file,
            pki,
            position: positionFile(join(config.dataDir, 'ingest', config.instance, 'opcua', `${file.id}.json`)),
            // The one place besides config.ts that reads the environment: the source file names the variable, within INGEST_SECRET_.
            password: file.user && process.env[file.user.passwordFrom],
            intake,
            logger,
            metrics: counted,
            nowMs: Date.now,
          }),
      })
    },
    stop: async () => {
      await running?.stop()
      await (await opened)?.close()
    },
  }
}
