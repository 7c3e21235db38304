// Environment → settings of video.

import { env, portDefault, readConfig, sharedSettings, type Environment, type Setting } from '@andon/kit'

const aboveZero = (setting: Setting<number>): Setting<number> => ({
  ...setting,
  expected: 'a number above 0',
  parse: (text) => {
    const value = setting.parse(text)
    return value !== undefined && value > 0 ? value : undefined
  },
})

export const loadConfig = (source: Environment) =>
  readConfig(source, {
    ...sharedSettings,
    adminPort: env.port('VIDEO_ADMIN_PORT', 'Health and metrics', portDefault('video', 'admin')),
    httpPort: env.port('VIDEO_HTTP_PORT', 'Cameras, live pictures and clips', portDefault('video', 'http')),
    instance: env.string('VIDEO_INSTANCE', 'Id of this recorder, stable over restarts', 'video-1'),
    cameraIds: env.list('VIDEO_CAMERAS', 'Cameras this instance records; * = all of the plant file', ['*']),
    ringMinutes: aboveZero(env.number('VIDEO_RING_MINUTES', 'How long recordings stay in the ring', 10)),
    evidenceWaitS: aboveZero(env.number('VIDEO_EVIDENCE_WAIT_S', 'How long a missing segment is waited for after the end of a range', 15)),
    stallS: aboveZero(env.number('VIDEO_STALL_S', 'A camera without a new segment for this long is connected anew', 8)),
    frozenAfterS: aboveZero(env.number('VIDEO_FROZEN_AFTER_S', 'A picture that has not changed for longer counts as frozen', 5)),
  })

export type VideoConfig = ReturnType<typeof loadConfig>
