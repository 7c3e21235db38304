// sources/<id>.yaml: how data that we do not define reaches the plant's channels - one file per source, of one kind. What is the same for
// messages, records and rows (which field is what) is in sources/payload.ts; each kind adds where it gets them from.

import { z } from 'zod'
import { readDocument } from './read.ts'
import type { Fault, ReadOptions } from './read.ts'
import { idShape } from './plant.ts'
import type { Plant } from './plant.ts'
import { fileFaults, fileSource } from './sources/file.ts'
import { kafkaFaults, kafkaSource, kinesisSource } from './sources/streams.ts'
import { buttonFaults, buttonSource } from './sources/button.ts'
import { mqttFaults, mqttSource, natsFaults, natsSource } from './sources/messages.ts'
import { opcuaSource } from './sources/opcua.ts'
import { ethernetIpSource, modbusFaults, modbusSource, s7Source } from './sources/registers.ts'
import { payloadFaults } from './sources/payload.ts'
import { sparkplugSource } from './sources/sparkplug.ts'

/** What every source file says. */
const common = {
  version: z.literal(1),
  /** Id of the source file: the document's name is sources/<id>. */
  id: idShape,
}

const sourceShape = z.discriminatedUnion('kind', [
  z.strictObject({ ...common, ...mqttSource }),
  z.strictObject({ ...common, ...natsSource }),
  z.strictObject({ ...common, ...sparkplugSource }),
  z.strictObject({ ...common, ...opcuaSource }),
  z.strictObject({ ...common, ...modbusSource }),
  z.strictObject({ ...common, ...s7Source }),
  z.strictObject({ ...common, ...ethernetIpSource }),
  z.strictObject({ ...common, ...kafkaSource }),
  z.strictObject({ ...common, ...kinesisSource }),
  z.strictObject({ ...common, ...fileSource }),
  z.strictObject({ ...common, ...buttonSource }),
])

export type PlantSource = z.output<typeof sourceShape>
export type SourceKind = PlantSource['kind']

/** Reads a source file. */
export const parseSource = (source: unknown, options: ReadOptions = {}): PlantSource =>
  readDocument(sourceShape, source, { file: 'source', ...options }, faults)

const faults = (source: PlantSource): Fault[] => {
  switch (source.kind) {
    case 'mqtt':
      return mqttFaults(source)
    case 'nats':
      return natsFaults(source)
    case 'button':
      return buttonFaults(source)
    case 'kafka':
      return kafkaFaults(source)
    case 'kinesis':
      return payloadFaults(source.mapping, ['mapping'])
    case 'file':
      return fileFaults(source)
    case 'modbus':
      return modbusFaults(source)
    default:
      return []
  }
}

/** What does not fit the plant in a source file: an asset that it does not have, or a channel that the asset does not have. */
export interface PlantFault {
  readonly path: string
  readonly found: string
  readonly expected: string
}

/** Checks names that a source file fixes; those that only data brings are checked when it comes. */
export const sourceFaults = (source: PlantSource, plant: Plant): PlantFault[] => {
  if (source.kind === 'button' && source.line !== undefined) {
    const isKnown = plant.lines.some(({ id }) => id === source.line)
    return isKnown ? [] : [{ path: 'line', found: source.line, expected: `a line of this plant (${ids(plant.lines)})` }]
  }
  const { path, assets, channels } = namesOf(source)
  return assets.flatMap(([assetId, at]): PlantFault[] => {
    const asset = plant.assets.find(({ id }) => id === assetId)
    if (asset === undefined) return [{ path: `${path}${at}`, found: assetId, expected: `an asset of this plant (${ids(plant.assets)})` }]
    return channels
      .filter(([channelId]) => !asset.channels.some(({ id }) => id === channelId))
      .map(([channelId, where]) => ({
        path: `${path}${where}`,
        found: channelId,
        expected: `a channel of ${assetId} (${ids(asset.channels)})`,
      }))
  })
}

interface Names {
  /** Where they stand. */
  readonly path: string
  /** Id and path below it. */
  readonly assets: readonly (readonly [string, string])[]
  readonly channels: readonly (readonly [string, string])[]
}

const namesOf = (source: PlantSource): Names => {
  if (source.kind === 'button') return { path: '', assets: [[source.asset ?? '', 'asset']], channels: [] }
  if (!('mapping' in source)) {
    const channels = Object.keys(source.channels).map((id) => [id, `channels.${id}`] as const)
    return { path: '', assets: [[source.asset, 'asset']], channels }
  }
  const { asset, channels, long } = source.mapping
  const mapped = 'id' in asset ? [[asset.id, 'asset.id'] as const] : entries(asset.map, 'asset.map')
  const named = Object.keys(channels).map((id) => [id, `channels.${id}`] as const)
  return { path: 'mapping.', assets: mapped, channels: [...named, ...entries(long?.map, 'long.map')] }
}

const entries = (map: Readonly<Record<string, string>> | undefined, path: string) =>
  Object.entries(map ?? {}).map(([word, id]) => [id, `${path}.${word}`] as const)

const ids = (items: readonly { readonly id: string }[]): string => items.map(({ id }) => id).join(', ')
