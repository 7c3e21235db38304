// One topic of another Kafka cluster → readings. Instances share its partitions as one group there; a position is committed after the
// readings before it are safe, so after a crash some records come again: they are known by partition and offset. A batch of a
// partition is handed over in one turn.

import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { AndonError, messageOf, openAvroReader, openKafkaLog } from '@andon/kit'
import type { AvroReader, KafkaLogOptions, Log, Logger, RecordBatch } from '@andon/kit'
import type { PlantSource } from '@andon/schemas'
import { compileMapping } from '../mapping.ts'
import type { Link } from '../pull-sources.ts'
import { refusal } from '../reading.ts'
import type { RawReading } from '../reading.ts'
import { takeMessages } from './mapped-payload.ts'
import type { MappedMessage } from './mapped-payload.ts'
import { isRetriable } from './patient-intake.ts'
import type { Intake } from './source.ts'
import type { StreamMetrics } from './stream-metrics.ts'

export type KafkaFile = Extract<PlantSource, { kind: 'kafka' }>

export interface KafkaLinkDeps {
  readonly file: KafkaFile
  readonly instance: string
  /** Password of the source file's user, if it has one. */
  readonly password: string | undefined
  readonly intake: Intake
  readonly logger: Logger
  readonly metrics: StreamMetrics
}

const againMs = 1000
// Of one delivery; more would be refused as too much at once.
const maxBatchBytes = 1 << 20

export const openKafkaLink = ({ file, instance, password, intake, logger, metrics }: KafkaLinkDeps): Link => {
  const { topic } = file
  const mapping = compileMapping(file.mapping, file)
  const abort = new AbortController()
  let state: true | string = 'not started'
  let avro: AvroReader | undefined

  const readingsOf = async (payload: Buffer, receivedUs: number, key: string | null): Promise<RawReading[]> => {
    const arrival = { levels: topic.split('.'), names: { recordKey: key ?? '' }, receivedUs }
    if (avro === undefined) return mapping.ofPayload(payload, arrival)
    try {
      return mapping.ofRecord(await avro.read(topic, payload), arrival, () => payload)
    } catch (error) {
      if (!(error instanceof AndonError) || error.retriable) throw error
      const refused = refusal('ANDON_INGEST_MAPPING', `sources/${file.id}: ${error.message}`, {})
      return [{ value: undefined, bytes: () => payload, refused }]
    }
  }

  const take = async (cluster: string, batch: RecordBatch): Promise<void> => {
    const messages: MappedMessage[] = []
    for (let index = 0; index < batch.count; index++) {
      const payload = batch.valueAt(index)
      if (payload === null) continue // a tombstone says that a key is gone, which no reading can be
      const readings = await readingsOf(payload, batch.timestampMsAt(index) * 1000, batch.keyAt(index))
      const identity = `kafka:${cluster}:${topic}/${batch.partition}/${batch.offsetAt(index)}`
      messages.push({ readings, bytes: payload.length, identity })
    }
    await takeMessages(intake, 'kafka', file.mapping, messages)
    metrics.taken(file.id, batch.count)
  }

  const options = async (): Promise<KafkaLogOptions> => {
    const { brokers, tls, sasl } = file
    const text = async (path: string | undefined) => (path === undefined ? undefined : readFile(path, 'utf8'))
    const [ca, cert, key] = await Promise.all([text(tls?.caFile), text(tls?.certFile), text(tls?.keyFile)])
    return {
      brokers,
      clientId: `andon-${instance}`,
      brokersSetting: `brokers of sources/${file.id}`,
      ...(tls && { ssl: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) } }),
      ...(sasl && { sasl: { mechanism: sasl.mechanism, username: sasl.username, password: password ?? '' } }),
    }
  }

  const readUntilStopped = async (log: Log): Promise<void> => {
    const { clusterId } = await log.admin.describe()
    const run = await log.run({
      group: file.group ?? `andon-${file.id}`,
      topics: [topic],
      maxBytesPerPartition: maxBatchBytes,
      onBatch: async (batch) => {
        try {
          await take(clusterId, batch)
        } catch (error) {
          if (isRetriable(error)) throw error
          // Nothing of the batch may be passed over: the partition waits, and the log says why.
          logger.error({ err: error, source: file.id, partition: batch.partition }, 'a batch cannot be taken; its partition waits')
          throw new AndonError('ANDON_INGEST_STREAM_STUCK', messageOf(error), { retriable: true, cause: error })
        }
      },
    })
    state = true
    const stopped = Promise.withResolvers<void>()
    if (abort.signal.aborted) stopped.resolve()
    else abort.signal.addEventListener('abort', () => stopped.resolve(), { once: true })
    await Promise.race([run.ended, stopped.promise])
    await run.stop()
  }

  const read = async (): Promise<void> => {
    while (!abort.signal.aborted) {
      let log: Log | undefined
      try {
        if (file.mapping.format === 'avro') avro ??= await openAvroReader(file.registry ?? '', `registry of sources/${file.id}`)
        log = await openKafkaLog(await options())
        await readUntilStopped(log)
      } catch (error) {
        metrics.failed(file.id)
        if (state !== messageOf(error)) logger.warn({ err: error, source: file.id, topic }, 'a Kafka topic cannot be read')
        state = messageOf(error)
      }
      await log
        ?.close()
        .catch((error: unknown) => logger.warn({ err: error, source: file.id }, 'a Kafka connection did not close in order'))
      await pause(againMs, undefined, { signal: abort.signal }).catch(() => undefined)
    }
  }

  const reading = read()
  return {
    up: () => state,
    stop: async () => {
      abort.abort()
      await reading
    },
  }
}
