// Environment variables → typed settings of the features service.

import { env, portDefault, readConfig, sharedSettings } from '@andon/kit'
import type { Environment } from '@andon/kit'

export type FeaturesConfig = ReturnType<typeof loadConfig>

export const loadConfig = (source: Environment) =>
  readConfig(source, {
    ...sharedSettings,
    adminPort: env.port('FEATURES_ADMIN_PORT', 'Port of /livez /readyz /metrics /version', portDefault('features', 'admin')),
    gapBound: env.integer('FEATURES_GAPS_KEPT', 'Missing sample ranges remembered per source and epoch', 256),
    snapshotEveryRecords: env.integer('FEATURES_SNAPSHOT_EVERY', 'Records between two snapshots of a partition', 5_000),
    snapshotEveryMs: env.integer('FEATURES_SNAPSHOT_EVERY_MS', 'Longest time between two snapshots of a partition that changed, ms', 5_000),
    transactional: env.boolean(
      'FEATURES_TRANSACTIONAL',
      'Vectors, snapshots and the position become visible together, in Kafka transactions; default: readers drop repeats',
      false,
    ),
    transactionMs: env.integer('FEATURES_TRANSACTION_MS', 'How long a transaction stays open while there is work, ms', 100),
    latestHorizonMs: env.integer('FEATURES_LATEST_HORIZON_MS', 'How old a vector may be to be put into Redis at start, ms', 3_600_000),
  })
