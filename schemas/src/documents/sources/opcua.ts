// An OPC UA server: which of its nodes are which channels of one asset.

import { z } from 'zod'

const name = z.string().min(1)

/** `ns=2;s=Oven.Temperature`, or by the namespace's URI, which servers may number anew at every start: `nsu=urn:oven;s=Temperature`. */
const nodeId = z
  .string()
  .regex(
    /^(?:ns=\d{1,5};|nsu=[^;]+;)?(?:i=\d{1,10}|s=.+|g=[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|b=[A-Za-z0-9+/]+=*)$/s,
    'a node id such as ns=2;s=Oven.Temperature or nsu=urn:oven;i=1001',
  )

export const opcuaSource = {
  kind: z.literal('opcua'),
  endpoint: z.string().regex(/^opc\.tcp:\/\/[^/\s]+/, 'an address that starts with opc.tcp:// and names a host'),
  asset: name,
  /** Messages are always signed and encrypted; this is how. */
  securityPolicy: z.enum(['Basic256Sha256', 'Aes128_Sha256_RsaOaep', 'Aes256_Sha256_RsaPss']).default('Basic256Sha256'),
  /** Without it, the session is anonymous. */
  user: z
    .strictObject({
      name,
      /** Variable of the environment of ingest that holds the password. */
      passwordFrom: z.string().regex(/^INGEST_SECRET_[A-Z0-9_]+$/, 'the name of a variable INGEST_SECRET_…'),
    })
    .optional(),
  channels: z
    .record(
      name,
      z.strictObject({
        node: nodeId,
        /** As the node has it, in UCUM; converted to the plant's. */
        unit: name.optional(),
        scale: z.number().default(1),
        offset: z.number().default(0),
        /** The server reports a value only when it differs from the last reported one by more, in the node's own unit. */
        deadband: z.number().positive().optional(),
      }),
    )
    .refine((channels) => Object.keys(channels).length > 0, 'at least one channel'),
  /** How often the server looks at a node; 0: at every change, where it can. */
  samplingMs: z.number().min(0).default(100),
  publishingMs: z.number().positive().default(500),
  /** How long an outage of the connection the server is asked to bridge with its own queues. */
  bufferS: z.number().positive().max(86_400).default(60),
} as const
