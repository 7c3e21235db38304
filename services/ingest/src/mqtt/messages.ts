// A message of a topic → the intake, for both MQTT doors: readings in our own form, payloads that a source file maps, presses of buttons.

import { AndonError } from '@andon/kit'
import type { Delivery, Device, DoorName, Intake } from '../adapters/source.ts'
import type { Buttons } from '../buttons.ts'
import { topicRoutes } from './topics.ts'
import type { MqttSourceFile, Route } from './topics.ts'

export interface Message {
  readonly topic: string
  readonly payload: Buffer
  /** The device that sent it, when it showed a certificate. */
  readonly device?: Device | undefined
}

export interface MessagesOptions {
  readonly door: DoorName
  readonly intake: Intake
  /** Source files of kind `mqtt` that are in force. */
  readonly files: () => readonly MqttSourceFile[]
  readonly buttons: Buttons | undefined
  readonly nowUs: () => number
}

export interface Messages {
  /**
   * Resolves when the message is safe, with a note for the sender when something of it went to quarantine. Rejects with
   * ANDON_INGEST_BAD_TOPIC or ANDON_INGEST_OTHER_SOURCE when it will never be taken, with a retriable error when it may be later.
   */
  readonly take: (message: Message) => Promise<string | undefined>
  /** Reads the source files again. */
  readonly reload: () => void
}

export const messages = (options: MessagesOptions): Messages => {
  const { door, intake, buttons } = options
  let routeOf = topicRoutes(options.files())

  const deliver = async (delivery: Delivery): Promise<string | undefined> => {
    const { quarantined } = await intake(delivery)
    const [first] = quarantined
    return first === undefined ? undefined : `${quarantined.length} went to quarantine: ${first.code}: ${first.message}`
  }

  const mapped = ({ mapping, levels, names }: Extract<Route, { kind: 'mapped' }>, { payload, device }: Message) => {
    const arrival = { levels, names, receivedUs: options.nowUs(), ...(device && { deviceId: device.id }) }
    return deliver({
      door,
      readings: mapping.ofPayload(payload, arrival),
      bytes: payload.length,
      mapped: { file: mapping.id, arrival },
      ...(device && { device }),
    })
  }

  return {
    take: async (message) => {
      const { topic, payload, device } = message
      const route = routeOf(topic)
      switch (route?.kind) {
        case 'readings':
          if (device?.speaksFor(route.source) === false) throw otherSource(device.id, topic)
          return deliver({ door, payload, format: 'json', source: route.source, ...(device && { device }) })
        case 'mapped':
          return mapped(route, message)
        case 'call':
          if (device?.speaksFor(route.button) === false) throw otherSource(device.id, topic)
          if (buttons === undefined) throw badTopic(topic)
          return buttons.press(route.button, payload)
        default:
          throw badTopic(topic)
      }
    },
    reload: () => {
      routeOf = topicRoutes(options.files())
    },
  }
}

const badTopic = (topic: string) =>
  new AndonError(
    'ANDON_INGEST_BAD_TOPIC',
    `found topic ${topic.slice(0, 200)}, expected andon/<source>/readings, andon/<button>/call or the topic of a source file of kind mqtt`,
  )

const otherSource = (deviceId: string, topic: string) =>
  new AndonError(
    'ANDON_INGEST_OTHER_SOURCE',
    `found topic ${topic.slice(0, 200)}; device ${deviceId} speaks for ${deviceId} and ${deviceId}:<stream> only`,
  )
