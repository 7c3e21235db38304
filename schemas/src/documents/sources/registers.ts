// PLCs that are polled: Modbus TCP, S7 and EtherNet/IP, each with a register map of one asset.

import { z } from 'zod'
import type { Fault } from '../read.ts'

const name = z.string().min(1)

/** `{port:NNNN}` becomes text. */
const port = z.union([
  z.int().min(1).max(65_535),
  z
    .string()
    .regex(/^\d{1,5}$/, 'a port from 1 to 65535')
    .transform(Number),
])

const polled = {
  host: name,
  asset: name,
  /** Between the starts of two polls. */
  everyMs: z.int().min(10).default(1000),
  /** For connecting and for each answer. */
  timeoutMs: z.int().min(10).default(2000),
  /** Polls missed in a row after which the channels are reported as bad. */
  staleAfter: z.int().min(1).default(3),
} as const

/** `unit` as the register has it after scale and offset, in UCUM; converted to the plant's. */
const converted = { unit: name.optional(), scale: z.number().default(1), offset: z.number().default(0) } as const

const channels = <T extends z.ZodType>(channel: T) =>
  z.record(name, channel).refine((map) => Object.keys(map).length > 0, 'at least one channel')

const widths = { bool: 1, int16: 1, uint16: 1, int32: 2, uint32: 2, int64: 4, uint64: 4, float32: 2, float64: 4 } as const

export type RegisterType = keyof typeof widths

/** Registers of 16 bits that a value takes. */
export const registersOf = (type: RegisterType): number => widths[type]

export const modbusSource = {
  kind: z.literal('modbus'),
  ...polled,
  port: port.default(502),
  unitId: z.int().min(0).max(255).default(1),
  channels: channels(
    z.strictObject({
      ...converted,
      area: z.enum(['coil', 'discrete', 'holding', 'input']).default('holding'),
      /** From 0: what manuals call 40001 is address 0 of the area holding. */
      address: z.int().min(0).max(65_535),
      type: z.enum(['bool', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64', 'float32', 'float64']).optional(),
      /** Bit of a register, 0 the lowest; the value is 0 or 1. */
      bit: z.int().min(0).max(15).optional(),
      /** Which register of a wider value comes first: the high one (big) or the low one. */
      wordOrder: z.enum(['big', 'little']).default('big'),
      /** Bytes within a register; big is what the standard says. */
      byteOrder: z.enum(['big', 'little']).default('big'),
    }),
  ),
} as const

type ModbusChannel = z.output<typeof modbusSource.channels>[string]

/** Type of a channel; without one, a coil is a bool and a register an uint16. */
export const modbusTypeOf = ({ area, type, bit }: Pick<ModbusChannel, 'area' | 'type' | 'bit'>): RegisterType =>
  type ?? (isBits(area) || bit !== undefined ? 'bool' : 'uint16')

const isBits = (area: ModbusChannel['area']): boolean => area === 'coil' || area === 'discrete'

/** What the shape of a register map cannot say: widths, bits, overlaps. */
export const modbusFaults = ({ channels: map }: { channels: Readonly<Record<string, ModbusChannel>> }): Fault[] => {
  const faults: Fault[] = []
  const seen: { readonly id: string; readonly channel: ModbusChannel; readonly to: number }[] = []
  for (const [id, channel] of Object.entries(map)) {
    const { area, address, bit } = channel
    const type = modbusTypeOf(channel)
    const at = (field: string, expected: string): void => void faults.push({ path: ['channels', id, field], expected })
    if (isBits(area) && type !== 'bool') at('type', `bool, or nothing, for a ${area}`)
    if (isBits(area) && bit !== undefined) at('bit', `nothing: a ${area} is one bit`)
    if (!isBits(area) && type === 'bool' && bit === undefined) at('bit', `a bit of the register for type bool`)
    if (bit !== undefined && type !== 'bool') at('type', 'bool, or nothing, where a bit is named')
    const to = address + registersOf(type)
    if (to > 65_536) at('address', `an address of at most ${65_536 - registersOf(type)} for ${type}`)
    const other = seen.find(
      (one) =>
        one.channel.area === area &&
        address < one.to &&
        one.channel.address < to &&
        (bit === undefined || one.channel.bit === undefined || bit === one.channel.bit),
    )
    if (other !== undefined) at('address', `registers of its own; ${area} ${address} to ${to - 1} overlaps channel ${other.id}`)
    seen.push({ id, channel, to })
  }
  return faults
}

/** Addresses as S7 tools write them: DB1,REAL4  DB1,X0.3  MW10  I0.1. */
const s7Address = z
  .string()
  .regex(
    /^(?:DB[1-9]\d{0,4},(?:X\d{1,5}\.[0-7]|(?:BYTE|B|INT|I|WORD|W|DINT|DI|DWORD|DW|REAL|R|LREAL|LR)\d{1,5})|[MIQ](?:\d{1,5}\.[0-7]|(?:B|W|I|D|DI|R)\d{1,5}))$/,
    'an S7 address such as DB1,REAL4, DB1,X0.3, MW10 or I0.1',
  )

export const s7Source = {
  kind: z.literal('s7'),
  ...polled,
  port: port.default(102),
  rack: z.int().min(0).max(7).default(0),
  slot: z.int().min(0).max(31).default(1),
  channels: channels(z.strictObject({ ...converted, address: s7Address })),
} as const

export const ethernetIpSource = {
  kind: z.literal('ethernet-ip'),
  ...polled,
  port: port.default(44_818),
  /** Of the processor in its rack. */
  slot: z.int().min(0).max(255).default(0),
  channels: channels(
    z.strictObject({
      ...converted,
      /** Tag of the controller: Oven.Temperature, Program:Main.Speed, Values[3]. */
      tag: z
        .string()
        .max(255)
        .regex(
          /^(?:Program:[A-Za-z_]\w*\.)?[A-Za-z_]\w*(?:\[\d+(?:,\d+){0,2}\])?(?:\.[A-Za-z_]\w*(?:\[\d+(?:,\d+){0,2}\])?)*$/,
          'a tag such as Speed, Oven.Temperature, Values[3] or Program:Main.Speed',
        ),
    }),
  ),
} as const
