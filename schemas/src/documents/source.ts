// sources/<id>.yaml: how data that we do not define reaches the plant's channels - one file per source, of one kind. What is the same for
// messages, records and rows (which field is what) is in sources/payload.ts; each kind adds where it gets them from.

import { z } from 'zod'
import { readDocument } from './read.ts'
import type { Fault, ReadOptions } from './read.ts'
import { idShape } from './plant.ts'
import { fileSource } from './sources/file.ts'
import { kafkaSource, kinesisSource } from './sources/streams.ts'
import { mqttSource, natsSource } from './sources/messages.ts'
import { opcuaSource } from './sources/opcua.ts'
import { ethernetIpSource, modbusSource, s7Source } from './sources/registers.ts'
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
])

export type PlantSource = z.output<typeof sourceShape>
export type SourceKind = PlantSource['kind']

/** Reads a source file. */
export const parseSource = (source: unknown, options: ReadOptions = {}): PlantSource =>
  readDocument(sourceShape, source, { file: 'source', ...options }, faults)

const faults = (_source: PlantSource): Fault[] => []
