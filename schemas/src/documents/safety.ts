// Signals of safety functions: the plant file tags them (`safety: true`), and then no command and no policy can name them. A command's
// target is a line or an asset and its parameters are the catalogue's; this closes the one way left, a signal's name as a value.

import type { Commands } from './commands.ts'
import type { Plant } from './plant.ts'
import type { Fault } from './read.ts'

/** Names of tagged signals and assets, as anybody may write them. */
export const safetySignals = ({ assets }: Pick<Plant, 'assets'>): ReadonlySet<string> => {
  const names = new Set<string>()
  for (const asset of assets) {
    if (asset.safety === true) names.add(asset.id)
    for (const channel of asset.channels) {
      const isTagged = asset.safety === true || (channel.kind === 'scalar' && channel.safety === true)
      if (isTagged) for (const name of [channel.id, `${asset.id}.${channel.id}`, `${asset.id}/${channel.id}`]) names.add(name)
    }
  }
  return names
}

const expected = 'no signal of a safety function: Andon measures those and never commands them'

/** Whether a text names a tagged signal, alone or as part of an address. */
const namesSafety = (text: string, signals: ReadonlySet<string>): boolean => {
  if (signals.has(text)) return true
  const words = text.split(/[^A-Za-z0-9_-]+/)
  return words.some((word) => signals.has(word))
}

/** Places below `path` where a value names a signal of a safety function. */
export const safetyFaults = (value: unknown, signals: ReadonlySet<string>, path: Fault['path'] = []): Fault[] => {
  if (signals.size === 0) return []
  if (typeof value === 'string') return namesSafety(value, signals) ? [{ path, expected }] : []
  if (Array.isArray(value)) return value.flatMap((each, i) => safetyFaults(each, signals, [...path, i]))
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, each]) => [
    ...(namesSafety(key, signals) ? [{ path: [...path, key], expected, isKey: true }] : []),
    ...safetyFaults(each, signals, [...path, key]),
  ])
}

/** What a command could send: its parameters and the value it reads back. Titles and hazards are for people. */
export const catalogueSafetyFaults = ({ commands }: Pick<Commands, 'commands'>, signals: ReadonlySet<string>): Fault[] =>
  commands.flatMap(({ name, params, readBack }, i) => [
    ...(namesSafety(name, signals) ? [{ path: ['commands', i, 'name'], expected }] : []),
    ...safetyFaults(params, signals, ['commands', i, 'params']),
    ...safetyFaults(readBack, signals, ['commands', i, 'readBack']),
  ])
