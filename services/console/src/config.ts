// Environment variables → settings of the console. The only place that reads the environment.

import { env, portDefault, readConfig, sharedSettings } from '@andon/kit'

export const loadConfig = (source: NodeJS.ProcessEnv) =>
  readConfig(source, {
    ...sharedSettings,
    adminPort: env.port('CONSOLE_ADMIN_PORT', 'Port of health and metrics', portDefault('console', 'admin')),
    httpPort: env.port('CONSOLE_HTTP_PORT', 'Port of the page', portDefault('console', 'http')),
    actionsUrl: env.url(
      'CONSOLE_ACTIONS_URL',
      'Door of the actions service',
      (offset) => `http://127.0.0.1:${portDefault('actions', 'http')(offset)}`,
    ),
    videoUrl: env.url(
      'CONSOLE_VIDEO_URL',
      'Door of the video service',
      (offset) => `http://127.0.0.1:${portDefault('video', 'http')(offset)}`,
    ),
    windowsPerAsset: env.integer('CONSOLE_WINDOWS', 'Windows kept per asset for the trend', 3600),
    lookBackMinutes: env.integer('CONSOLE_LOOK_BACK_MINUTES', 'Log time of predictions read at start', 30),
  })

export type ConsoleConfig = ReturnType<typeof loadConfig>
