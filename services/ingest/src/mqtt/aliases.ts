// Topic aliases of MQTT 5: a number that a device says once with its topic, and then in place of it. One table per connection. Pure.

import { MqttFault, reason } from './frames.ts'
import type { Publish } from './frames.ts'

/** Aliases run from 1 to this; the CONNACK says so. */
export const maxTopicAlias = 16

export class TopicAliases {
  readonly #topics = new Map<number, string>()

  /** The topic that a publish means. Throws an MqttFault. */
  topicOf({ topic, alias }: Pick<Publish, 'topic' | 'alias'>): string {
    if (alias === undefined) {
      if (topic === '') throw new MqttFault(reason.badTopic, 'found a publish without a topic')
      return topic
    }
    if (alias === 0 || alias > maxTopicAlias)
      throw new MqttFault(reason.badAlias, `found topic alias ${alias}, expected 1 to ${maxTopicAlias}`)
    if (topic === '') {
      const known = this.#topics.get(alias)
      if (known === undefined) throw new MqttFault(reason.protocolError, `found topic alias ${alias}, which stands for no topic yet`)
      return known
    }
    this.#topics.set(alias, topic)
    return topic
  }
}
