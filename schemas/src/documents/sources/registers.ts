// PLCs that are polled: Modbus TCP, S7 and EtherNet/IP, each with a register map.

import { z } from 'zod'

const name = z.string().min(1)

const polled = {
  host: name,
  asset: name,
  everyMs: z.int().min(10).default(1000),
  timeoutMs: z.int().min(10).default(2000),
} as const

const converted = { unit: name.optional(), scale: z.number().default(1), offset: z.number().default(0) } as const

export const modbusSource = {
  kind: z.literal('modbus'),
  ...polled,
  port: z.union([z.int(), z.string()]).default(502),
  unitId: z.int().min(0).max(255).default(1),
  channels: z.record(
    name,
    z.strictObject({
      ...converted,
      area: z.enum(['coil', 'discrete', 'holding', 'input']).default('holding'),
      address: z.int().min(0).max(65_535),
      type: z.enum(['bool', 'int16', 'uint16', 'int32', 'uint32', 'float32', 'float64']).default('uint16'),
      wordOrder: z.enum(['big', 'little']).default('big'),
    }),
  ),
} as const

export const s7Source = {
  kind: z.literal('s7'),
  ...polled,
  port: z.union([z.int(), z.string()]).default(102),
  rack: z.int().min(0).default(0),
  slot: z.int().min(0).default(1),
  /** Addresses as S7 tools write them, e.g. DB1,REAL4. */
  channels: z.record(name, z.strictObject({ ...converted, address: name })),
} as const

export const ethernetIpSource = {
  kind: z.literal('ethernet-ip'),
  ...polled,
  port: z.union([z.int(), z.string()]).default(44_818),
  slot: z.int().min(0).default(0),
  channels: z.record(name, z.strictObject({ ...converted, tag: name })),
} as const
