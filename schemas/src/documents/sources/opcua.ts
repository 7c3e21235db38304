// An OPC UA server: which nodes are which channels.

import { z } from 'zod'

export const opcuaSource = {
  kind: z.literal('opcua'),
  endpoint: z.string().regex(/^opc\.tcp:\/\//, 'an address that starts with opc.tcp://'),
  asset: z.string().min(1),
  channels: z.record(
    z.string().min(1),
    z.strictObject({
      node: z.string().min(1),
      unit: z.string().min(1).optional(),
      scale: z.number().default(1),
      offset: z.number().default(0),
      deadband: z.number().positive().optional(),
    }),
  ),
  samplingMs: z.number().positive().default(100),
  publishingMs: z.number().positive().default(500),
} as const
