// Sealing as a part of the service: opens key and anchors before the owners start. Without ACTIONS_AUDIT_DIR nothing is sealed.

import { join } from 'node:path'
import type { SealingKey } from '@andon/audit'
import type { Codec, Log, Logger, Metrics, Part } from '@andon/kit'
import type { ActionsConfig } from '../config.ts'
import { Anchors, loadKey } from './anchors.ts'
import { PartitionAuditor } from './auditor.ts'

export interface AuditingDeps {
  readonly log: Log
  readonly codec: Codec
  readonly nowUs: () => number
  readonly logger: Logger
  readonly metrics: Metrics
}

export interface Auditing {
  readonly part: Part
  readonly auditorOf: (partition: number) => PartitionAuditor | null
}

export const auditing = (config: ActionsConfig, { log, codec, nowUs, logger, metrics }: AuditingDeps): Auditing => {
  const sealed = metrics.counter('andon_actions_range_seals_total', 'Ranges of the log that were sealed')
  let opened: { readonly key: SealingKey; readonly anchors: Anchors } | undefined
  return {
    part: {
      name: 'audit',
      async start() {
        if (config.auditDir === null) return
        const key = await loadKey(config.auditKeyFile ?? join(config.dataDir, 'audit', 'key.pem'))
        opened = { key, anchors: await Anchors.open(config.auditDir, key, nowUs(), logger) }
      },
      stop: async () => {},
    },
    auditorOf: (partition) =>
      opened === undefined
        ? null
        : new PartitionAuditor({
            ...opened,
            log,
            codec,
            partition,
            everyRecords: config.auditEveryRecords,
            everyMs: config.auditEveryMs,
            authorityUrl: config.auditTimeUrl,
            nowUs,
            sealed,
            logger,
          }),
  }
}
