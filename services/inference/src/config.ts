// Environment variables → typed settings of the inference service.

import { env, portDefault, readConfig, sharedSettings } from '@andon/kit'
import type { Environment } from '@andon/kit'

export type InferenceConfig = ReturnType<typeof loadConfig>

export const loadConfig = (source: Environment) => {
  const config = settings(source)
  const namesBrokers = (source['ANDON_KAFKA_BROKERS'] ?? '') !== ''
  return {
    ...config,
    /** A server with a folder of models and no brokers named: that folder is all it serves, and it needs nothing else. */
    isFolderOnly: config.role === 'server' && config.modelRepository !== null && !namesBrokers,
  }
}

const settings = (source: Environment) =>
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
    modelRepository: env.optional(
      env.path('INFERENCE_MODEL_REPOSITORY', "Folder of models in Triton's layout; none: only what is registered"),
    ),
    modelControl: env.oneOf(
      ['none', 'poll', 'explicit'],
      'INFERENCE_MODEL_CONTROL',
      'When models of the folder are loaded: all at start (none), all and again when the folder changes (poll), on request (explicit)',
      'none',
    ),
    repositoryPollMs: env.integer('INFERENCE_REPOSITORY_POLL_MS', 'How often the folder is looked at with poll, ms', 15_000),
    modelUploads: env.oneOf(
      ['refuse', 'allow'],
      'INFERENCE_MODEL_UPLOADS',
      'Whether models are loaded from files that come with a request: whoever reaches the doors may then run a graph of their own',
      'refuse',
    ),
    gpu: env.oneOf(
      ['require', 'prefer', 'off'],
      'INFERENCE_GPU',
      'Whether models run on a GPU: or not at all (require), where there is one (prefer), never (off)',
      'off',
    ),
    gpuProvider: env.oneOf(
      ['cuda', 'tensorrt', 'webgpu'],
      'INFERENCE_GPU_PROVIDER',
      "The GPU's execution provider where a model names none",
      'cuda',
    ),
    isolation: env.oneOf(
      ['threads', 'process'],
      'INFERENCE_ISOLATION',
      'Where models run: in worker threads, or in processes that can be killed',
      'threads',
    ),
    processMemoryBytes: env.integer('INFERENCE_PROCESS_MEMORY_BYTES', 'Memory at which a process that runs a model is killed', 4 * 2 ** 30),
    runTimeoutMs: env.integer('INFERENCE_RUN_TIMEOUT_MS', 'Longest a batch may run before its requests are answered without it, ms', 4_000),
    cacheBytes: env.integer('INFERENCE_CACHE_BYTES', 'Memory of the response cache; 0: none', 64 * 1024 * 1024),
    maxMessageBytes: env.integer('INFERENCE_MAX_MESSAGE_BYTES', 'Largest message the doors take or give', 64 * 1024 * 1024),
    maxConnections: env.integer(
      'INFERENCE_MAX_CONNECTIONS',
      'Connections that the gRPC door holds at a time; further ones are closed',
      1024,
    ),
    serverUrls: env.optional(env.list('INFERENCE_SERVER_URL', 'Servers the event path scores on, host:port each; none: it scores here')),
    serverTimeoutMs: env.integer(
      'INFERENCE_SERVER_TIMEOUT_MS',
      'Longest the event path waits for the answer of one of those servers, ms',
      1_000,
    ),
    scorerFallback: env.oneOf(
      ['embedded', 'unscored'],
      'INFERENCE_SCORER_FALLBACK',
      'While none of those servers answers: score the same artefact here (embedded), or say that nothing was scored (unscored)',
      'embedded',
    ),
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
