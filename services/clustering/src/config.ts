// Environment variables → typed settings of the clustering service, and the detector set they make.

import { AndonError, env, portDefault, readConfig, sharedSettings } from '@andon/kit'
import type { Environment } from '@andon/kit'
import { defaultDetectorSet } from './detector-set.ts'
import type { DetectorSet } from './detector-set.ts'
import { defaultDriftRules } from './drift-watch.ts'

export type ClusteringConfig = ReturnType<typeof loadConfig>

const defaults = defaultDetectorSet
/** Fewer rows no detector takes; more no snapshot carries. */
const LEARNING_WINDOWS = { least: 100, most: 10_000 }

export const loadConfig = (source: Environment) =>
  readConfig(source, {
    ...sharedSettings,
    adminPort: env.port('CLUSTERING_ADMIN_PORT', 'Port of /livez /readyz /metrics /version', portDefault('clustering', 'admin')),
    httpPort: env.port('CLUSTERING_HTTP_PORT', 'Port of the read door', portDefault('clustering', 'http')),
    role: env.oneOf(
      ['all', 'assigner', 'fitter'],
      'CLUSTERING_ROLE',
      'Judge windows, fit the fault modes of asset classes, or both',
      'all',
    ),
    refitEveryMs: env.integer('CLUSTERING_REFIT_EVERY_MS', 'Event time between two fits of the fault modes of a class, ms', 3_600_000),
    activationDelayMs: env.integer(
      'CLUSTERING_ACTIVATION_DELAY_MS',
      'Fault modes hold for records that came to the log so much later than their activation, ms; the same on every instance',
      30_000,
    ),
    learningWindows: env.integer(
      'CLUSTERING_LEARNING_WINDOWS',
      "Healthy windows an asset's own detector learns from",
      defaults.detector.learningWindows,
    ),
    hysteresisOn: env.integer('CLUSTERING_HYSTERESIS_ON', 'Consecutive windows above the line that open an episode', defaults.episode.on),
    hysteresisOff: env.integer('CLUSTERING_HYSTERESIS_OFF', 'Consecutive quiet windows that close an episode', defaults.episode.off),
    ewmaAlpha: env.number('CLUSTERING_EWMA_ALPHA', 'Weight of the newest ratio in the running one, 1 = no smoothing', defaults.ewmaAlpha),
    stuckWindows: env.integer('CLUSTERING_STUCK_WINDOWS', 'Windows without movement that make a sensor fault', defaults.stuckWindows),
    driftRunWindows: env.integer(
      'CLUSTERING_DRIFT_RUN_WINDOWS',
      'Windows of an asset between two false DriftDetected that are expected at least',
      defaultDriftRules.expectedRunWindows,
    ),
    snapshotEveryRecords: env.integer('CLUSTERING_SNAPSHOT_EVERY', 'Records between two snapshots of a partition', 5_000),
    snapshotEveryMs: env.integer(
      'CLUSTERING_SNAPSHOT_EVERY_MS',
      'Longest time between two snapshots of a partition that changed, ms',
      5_000,
    ),
  })

/** The detector set in force: the measured one with what the settings say. */
export const detectorSetOf = (
  config: Pick<ClusteringConfig, 'learningWindows' | 'hysteresisOn' | 'hysteresisOff' | 'ewmaAlpha' | 'stuckWindows'>,
): DetectorSet => ({
  ...defaults,
  detector: { ...defaults.detector, learningWindows: learningWindowsOf(config) },
  ewmaAlpha: config.ewmaAlpha,
  episode: { ...defaults.episode, on: config.hysteresisOn, off: config.hysteresisOff },
  stuckWindows: config.stuckWindows,
})

const learningWindowsOf = ({ learningWindows }: Pick<ClusteringConfig, 'learningWindows'>): number => {
  const { least, most } = LEARNING_WINDOWS
  if (learningWindows >= least && learningWindows <= most) return learningWindows
  const expected = `CLUSTERING_LEARNING_WINDOWS: expected ${least} to ${most} windows, found ${learningWindows}. Correct it and start again.`
  throw new AndonError('ANDON_SETTING_INVALID', expected)
}
