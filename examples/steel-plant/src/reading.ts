// What the demo plant says to ingest: one reading, the same over MQTT, HTTP and NATS.

/** One sample of one source. Resent unchanged until it is acknowledged, so (source, epoch, seq) names it for good. */
export interface Reading {
  readonly source: string
  readonly asset: string
  /** Start of the source's counter, seconds UTC. */
  readonly epoch: number
  /** From 0, without holes. */
  readonly seq: number
  /** Source time, microseconds UTC; of a waveform its first element. */
  readonly timeUs: number
  /** Replayed recordings: when the row was recorded, microseconds UTC. */
  readonly recordedUs?: number
  readonly values?: Readonly<Record<string, number>>
  readonly waveform?: { readonly channel: string; readonly sampleRateHz: number; readonly f32: string }
}

/** Little-endian float32, base64: how a waveform travels in JSON. */
export const packWaveform = (samples: Float32Array): string => {
  const bytes = Buffer.allocUnsafe(samples.length * 4)
  samples.forEach((value, i) => bytes.writeFloatLE(value, i * 4))
  return bytes.toString('base64')
}
