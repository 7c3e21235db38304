// Environment variables → typed settings of the inference service.

import { env, portDefault, readConfig, sharedSettings } from '@andon/kit'
import type { Environment } from '@andon/kit'

export type InferenceConfig = ReturnType<typeof loadConfig>

export const loadConfig = (source: Environment) =>
  readConfig(source, {
    ...sharedSettings,
    role: env.oneOf(
      ['all', 'server', 'scorer'],
      'INFERENCE_ROLE',
      'Which part runs: the doors (server), the event path (scorer) or all',
      'all',
    ),
    adminPort: env.port('INFERENCE_ADMIN_PORT', 'Port of /livez /readyz /metrics /version', portDefault('inference', 'admin')),
    grpcPort: env.port('INFERENCE_GRPC_PORT', 'Port of the gRPC door', portDefault('inference', 'grpc')),
    httpPort: env.port('INFERENCE_HTTP_PORT', 'Port of the HTTP door', portDefault('inference', 'http')),
    metricsPort: env.port('INFERENCE_METRICS_PORT', 'Port of the metrics under their Triton names', portDefault('inference', 'metrics')),
    workers: env.integer('INFERENCE_WORKERS', 'Threads that run models; each holds every loaded model', 1),
    maxBatchRows: env.integer('INFERENCE_MAX_BATCH_ROWS', 'Most rows of one batch', 64),
    maxQueuedRows: env.integer('INFERENCE_MAX_QUEUED_ROWS', 'Rows that may wait before requests are turned away', 8192),
    commissioningWindows: env.integer(
      'INFERENCE_COMMISSIONING_WINDOWS',
      'Healthy windows an asset is learned from; at least max(60, 5 x features) are taken',
      300,
    ),
    baselineDir: env.optional(env.path('INFERENCE_BASELINE_DIR', 'Folder with signed baselines')),
    baselineKeys: env.optional(
      env.path('INFERENCE_BASELINE_KEYS', 'Public keys (PEM file, or a folder of them) whose baselines are trusted'),
    ),
  })
