// Topic → what its messages are: readings in our own form, payloads that a source file maps, or a press of a button. Pure.

import type { PlantSource } from '@andon/schemas'
import { compileMapping } from '../mapping.ts'
import type { Mapping } from '../mapping.ts'

export type MqttSourceFile = Extract<PlantSource, { kind: 'mqtt' }>
export type ButtonFile = Extract<PlantSource, { kind: 'button' }>

/** What a topic brings. */
export type Route =
  | { readonly kind: 'readings'; readonly source: string }
  | {
      readonly kind: 'mapped'
      readonly mapping: Mapping
      readonly levels: readonly string[]
      readonly names: Readonly<Record<string, string>>
    }
  | { readonly kind: 'call'; readonly button: string }

/** A topic filter with levels that have names, e.g. plants/+site/+machine/#. */
export interface TopicPattern {
  /** As MQTT subscribes to it. */
  readonly filter: string
  /** The named levels of a topic that it matches, else undefined. */
  match(levels: readonly string[]): Readonly<Record<string, string>> | undefined
}

export const topicPattern = (pattern: string): TopicPattern => {
  const wanted = pattern.split('/')
  const isOpen = wanted.at(-1) === '#'
  const fixed = isOpen ? wanted.slice(0, -1) : wanted
  const named = fixed.flatMap((level, index) => (level.length > 1 && level.startsWith('+') ? [[level.slice(1), index] as const] : []))
  return {
    filter: wanted.map((level) => (level.startsWith('+') ? '+' : level)).join('/'),
    match: (levels) => {
      if (isOpen ? levels.length < fixed.length : levels.length !== fixed.length) return undefined
      for (let index = 0; index < fixed.length; index++) {
        if (!fixed[index]!.startsWith('+') && fixed[index] !== levels[index]) return undefined
      }
      return Object.fromEntries(named.map(([name, index]) => [name, levels[index]!]))
    },
  }
}

const ownTopic = /^andon\/([^/]+)\/(readings|call)$/
const maxRemembered = 10_000

/** Finds the route of a topic; undefined when nobody takes it. The first source file in the order of ids that matches is used. */
export const topicRoutes = (files: readonly MqttSourceFile[]): ((topic: string) => Route | undefined) => {
  const patterns = files
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .map((file) => ({ pattern: topicPattern(file.topic), mapping: compileMapping(file.mapping, file) }))
  const remembered = new Map<string, Route | undefined>()

  const find = (topic: string): Route | undefined => {
    const [, id, what] = ownTopic.exec(topic) ?? []
    if (id !== undefined) return what === 'call' ? { kind: 'call', button: id } : { kind: 'readings', source: id }
    const levels = topic.split('/')
    for (const { pattern, mapping } of patterns) {
      const names = pattern.match(levels)
      if (names !== undefined) return { kind: 'mapped', mapping, levels, names }
    }
    return undefined
  }
  return (topic) => {
    if (remembered.has(topic)) return remembered.get(topic)
    if (remembered.size >= maxRemembered) remembered.clear()
    const route = find(topic)
    remembered.set(topic, route)
    return route
  }
}
