// An edge node of a Sparkplug B group, or a device below one: which metrics are which channels.

import { z } from 'zod'

export const sparkplugSource = {
  kind: z.literal('sparkplug'),
  group: z.string().min(1),
  /** Edge node, and device below it; without a device, the node's own metrics. */
  node: z.string().min(1),
  device: z.string().min(1).optional(),
  asset: z.string().min(1),
  /** Channel → metric name as births announce it. Without any, every metric that has the name of a channel of the asset is taken. */
  channels: z
    .record(
      z.string().min(1),
      z.strictObject({
        metric: z.string().min(1),
        /** As the node has it, in UCUM: converted to the plant's. Value = metric × scale + offset. */
        unit: z.string().min(1).optional(),
        scale: z
          .number()
          .refine((value) => value !== 0, 'a number other than 0')
          .default(1),
        offset: z.number().default(0),
      }),
    )
    .default({}),
} as const
