// A Sparkplug B group: which metrics are which channels.

import { z } from 'zod'

export const sparkplugSource = {
  kind: z.literal('sparkplug'),
  group: z.string().min(1),
  /** Edge node, and device below it; without a device, the node's own metrics. */
  node: z.string().min(1),
  device: z.string().min(1).optional(),
  asset: z.string().min(1),
  /** Channel → metric name as births announce it. */
  channels: z.record(
    z.string().min(1),
    z.strictObject({
      metric: z.string().min(1),
      unit: z.string().min(1).optional(),
      scale: z.number().default(1),
      offset: z.number().default(0),
    }),
  ),
} as const
