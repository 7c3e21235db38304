// A message of a topic → the intake, for both MQTT doors: readings in our own form, payloads that a source file maps, presses of buttons.

import { AndonError } from '@andon/kit'
import type { Delivery, Device, DoorName, Intake, Receipt } from '../adapters/source.ts'
import type { Buttons } from '../buttons.ts'
import { readingsOf } from '../json-payload.ts'
import type { RawReading } from '../reading.ts'
import { topicRoutes } from './topics.ts'
import type { MqttSourceFile } from './topics.ts'

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

/** Messages of one topic that came together, in their order. */
export interface MessageGroup extends Omit<Message, 'payload'> {
  readonly payloads: readonly Buffer[]
  /** As of a delivery. */
  readonly isAwaited?: boolean
}

/** What senders are told of messages of which something went to quarantine, by the place of the message in its group. */
export type Notes = ReadonlyMap<number, string>

export interface Messages {
  /**
   * Resolves when the message is safe, with a note for the sender when something of it went to quarantine. Rejects with
   * ANDON_INGEST_BAD_TOPIC or ANDON_INGEST_OTHER_SOURCE when it will never be taken, with a retriable error when it may be later.
   */
  readonly take: (message: Message) => Promise<string | undefined>
  /** As `take`: one delivery, so all of the group is safe, or none of it. */
  readonly takeGroup: (group: MessageGroup) => Promise<Notes>
  /** Reads the source files again. */
  readonly reload: () => void
}

export const messages = (options: MessagesOptions): Messages => {
  const { door, intake, buttons } = options
  let routeOf = topicRoutes(options.files())

  /** Hands over what `readingsIn` finds in each payload. */
  const deliver = async (
    { payloads, device, isAwaited = false }: MessageGroup,
    readingsIn: (payload: Buffer) => readonly RawReading[],
    from: Pick<Delivery, 'source' | 'mapped'>,
  ): Promise<Notes> => {
    const readings: RawReading[] = []
    const ends: number[] = []
    let bytes = 0
    for (const payload of payloads) {
      for (const reading of readingsIn(payload)) readings.push(reading)
      ends.push(readings.length)
      bytes += payload.length
    }
    const { quarantined } = await intake({ door, readings, bytes, isAwaited, ...from, ...(device && { device }) })
    return quarantined.length === 0 ? noNotes : notesOf(quarantined, ends)
  }

  const takeGroup = async (group: MessageGroup): Promise<Notes> => {
    const { topic, payloads, device } = group
    const route = routeOf(topic)
    switch (route?.kind) {
      case 'readings':
        if (device?.speaksFor(route.source) === false) throw otherSource(device.id, topic)
        return deliver(group, ownReadings, { source: route.source })
      case 'mapped': {
        const { mapping, levels, names } = route
        const arrival = { levels, names, receivedUs: options.nowUs(), ...(device && { deviceId: device.id }) }
        return deliver(group, (payload) => mapping.ofPayload(payload, arrival), { mapped: { file: mapping.id, arrival } })
      }
      case 'call': {
        if (device?.speaksFor(route.button) === false) throw otherSource(device.id, topic)
        if (buttons === undefined) throw badTopic(topic)
        const answers = await Promise.all(payloads.map((payload) => buttons.press(route.button, payload)))
        return new Map(answers.entries())
      }
      default:
        throw badTopic(topic)
    }
  }

  return {
    takeGroup,
    take: async ({ payload, ...from }) => (await takeGroup({ ...from, payloads: [payload] })).get(0),
    reload: () => {
      routeOf = topicRoutes(options.files())
    },
  }
}

const noNotes: Notes = new Map()

/** @param ends number of readings up to and with each message. */
const notesOf = (quarantined: Receipt['quarantined'], ends: readonly number[]): Notes =>
  new Map(
    ends.flatMap((end, message) => {
      const refused = quarantined.filter(({ index }) => index < end && index >= (ends[message - 1] ?? 0))
      const [first] = refused
      return first === undefined ? [] : [[message, `${refused.length} went to quarantine: ${first.code}: ${first.message}`]]
    }),
  )

// A device would send what is no JSON for ever: it is one unreadable reading.
const ownReadings = (payload: Buffer): readonly RawReading[] => readingsOf(payload, 'json') ?? [{ value: undefined, bytes: () => payload }]

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
