// The one way a service comes to its event log: both the brokers and the registry, at once, each named by its setting when it does not answer.

import { openCodec } from './codec.ts'
import type { OwnSchemas } from './codec.ts'
import type { Codec } from './codec-port.ts'
import { openKafkaLog } from './log/kafka/log.ts'
import type { KafkaLogOptions } from './log/kafka/log.ts'
import type { Log } from './log/port.ts'
import { checkReachable } from './reach.ts'
import { openReplay } from './replay/open.ts'

/** The shared settings that lead to the log. */
export interface LogSettings {
  readonly kafkaBrokers: readonly string[]
  readonly registryUrl: string
  readonly namespace: string
  readonly registerSchemas: boolean
  /** Plan of the replay run that this process is; null or absent in a live one. */
  readonly replayPlan?: string | null
  readonly blobDir?: string
  readonly groupInstance?: string | null
  readonly groupInstanceStays?: boolean
  /** Avro schemas of topics beside Andon's own, by topic. */
  readonly schemas?: OwnSchemas
}

export interface OpenedLog {
  readonly log: Log
  readonly codec: Codec
}

/** Where a service gets its log from; tests hand in one in memory. */
export type OpenLog = () => Promise<OpenedLog>

/** Opens the log and its codec. Rejects within seconds with ANDON_UNREACHABLE naming the setting; nothing stays open then. */
export const openLog = async (settings: LogSettings, clientId: string, options: Partial<KafkaLogOptions> = {}): Promise<OpenedLog> => {
  const { kafkaBrokers, registryUrl, namespace, registerSchemas, groupInstance, groupInstanceStays } = settings
  const named = groupInstance == null ? {} : { instance: groupInstance, instanceStays: groupInstanceStays ?? false }
  const [log, codec] = await Promise.allSettled([
    openKafkaLog({ ...named, ...options, brokers: [...kafkaBrokers], clientId, namespace }),
    checkReachable([registryUrl], 'ANDON_REGISTRY_URL').then(() =>
      openCodec({ registryUrl, namespace, autoRegister: registerSchemas, schemas: settings.schemas ?? {} }),
    ),
  ])
  if (log.status === 'rejected') throw log.reason
  if (codec.status === 'rejected') {
    await log.value.close()
    throw codec.reason
  }
  if (settings.replayPlan == null) return { log: log.value, codec: codec.value }
  try {
    return { log: await openReplay(log.value, codec.value, settings.replayPlan, settings.blobDir ?? '.andon/blobs'), codec: codec.value }
  } catch (error) {
    await log.value.close()
    throw error
  }
}
