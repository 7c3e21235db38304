// Environment variables → typed settings. The only place in this service that reads the environment.

import { env, portDefault, readConfig, sharedSettings } from '@andon/kit'
import type { Environment } from '@andon/kit'

const spec = {
  ...sharedSettings,
  adminPort: env.port('ACTIONS_ADMIN_PORT', 'Port of the admin server', portDefault('actions', 'admin')),
  httpPort: env.port('ACTIONS_HTTP_PORT', 'Port of the door', portDefault('actions', 'http')),
  role: env.oneOf(
    ['all', 'door', 'owner', 'sealer'],
    'ACTIONS_ROLE',
    'What this process does: the door, owning partitions, sealing, or all of it',
    'all',
  ),
  maxStopMs: env.integer('ACTIONS_MAX_STOP_MS', 'Longest process stop assumed between the last check and the bytes leaving', 2_000),
  answerWithinMs: env.integer('ACTIONS_ANSWER_WITHIN_MS', 'How long the door waits for a decision before it answers 202', 1_000),
  webhookTimeoutMs: env.integer('ACTIONS_WEBHOOK_TIMEOUT_MS', 'Longest wait for a webhook endpoint to answer', 15_000),
  webhookAllow: env.list('ACTIONS_WEBHOOK_ALLOW', 'Hosts that webhooks may reach on private addresses and any port', []),
  sealMaxMb: env.integer('ACTIONS_SEAL_MAX_MB', 'Most that the sealed inputs of one incident may take, MB', 256),
  auditDir: env.optional(
    env.path('ACTIONS_AUDIT_DIR', 'Folder outside of the cluster where seals of the log are anchored; none: no seals'),
  ),
  auditKeyFile: env.optional(env.path('ACTIONS_AUDIT_KEY_FILE', 'Ed25519 key that seals, PEM; made at the first start')),
  auditEveryRecords: env.integer('ACTIONS_AUDIT_EVERY', 'Records of a partition after which they are sealed', 1_000),
  auditEveryMs: env.integer('ACTIONS_AUDIT_EVERY_MS', 'Age of the oldest unsealed record at which it is sealed, ms', 900_000),
  auditTimeUrl: env.optional(env.url('ACTIONS_AUDIT_TIME_URL', 'RFC 3161 authority that says when a seal existed')),
  webhookMaxAgeHours: env.integer('ACTIONS_WEBHOOK_MAX_AGE_HOURS', 'Events older than this are not delivered any more', 24),
}

export type ActionsConfig = ReturnType<typeof readConfig<typeof spec>> & {
  /** Secret behind a `secretEnv` of the plant file; undefined when the environment has none of that name. */
  readonly secretOf: (name: string) => string | undefined
}

/** Secrets are named by the plant file; only names that start with ACTIONS_ are looked up. */
export const loadConfig = (source: Environment): ActionsConfig => ({
  ...readConfig(source, spec),
  secretOf: (name) => (name.startsWith('ACTIONS_') ? source[name] : undefined),
})
