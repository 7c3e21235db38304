// Side inputs as a run wants them: a document or a model version that holds throughout, whatever held at the time. The log
// is read as it is; a pin leaves records out, and activates a registered model version from the beginning of time.

import type { Models } from '@andon/schemas'
import type { Codec } from '../codec-port.ts'
import { HEADER } from '../lineage.ts'
import type { LogRecord, RecordBatch } from '../log/port.ts'
import { RecordList } from '../log/record-list.ts'
import type { ModelPin, ReplayPlan } from './plan.ts'

export class Pins {
  private readonly codec: Codec
  private readonly documents: ReadonlyMap<string, number>
  private readonly models: ReadonlyMap<string, ModelPin>

  constructor(plan: ReplayPlan, codec: Codec) {
    this.codec = codec
    this.documents = new Map(plan.pins.map(({ name, offset }) => [name, offset]))
    this.models = new Map(plan.models.map((pin) => [pin.model, pin]))
  }

  /** The batch with pins applied. Rejects when the pinned registration cannot be decoded. */
  async apply(batch: RecordBatch): Promise<RecordBatch> {
    if (batch.topic === 'config' && this.documents.size > 0) {
      const isKept = ({ key, offset }: LogRecord): boolean => (this.documents.get(key ?? '') ?? offset) === offset
      return withRecords(batch, batch.records.filter(isKept))
    }
    if (batch.topic !== 'models' || this.models.size === 0) return batch
    const records: LogRecord[] = []
    for (const record of batch.records) {
      const pin = this.models.get(record.key ?? '')
      if (pin !== undefined && record.header(HEADER.type) !== 'ModelRegistered') continue // what held at the time
      records.push(record)
      if (pin?.offset === record.offset) records.push(await this.activation(record, pin.role))
    }
    return withRecords(batch, records)
  }

  private async activation(registered: LogRecord, role: string): Promise<LogRecord> {
    const fact = await this.codec.decodeAsync<Models>('models', registered.value!)
    const value = Buffer.from(this.codec.encode('models', { ...fact, type: 'ModelActivated', role, effectiveFromUs: 0 }))
    const headers = { ...registered.headers(), [HEADER.type]: 'ModelActivated' }
    const { topic, partition, leaderEpoch, offset, timestampMs, key } = registered
    const place = { topic, partition, leaderEpoch, offset, timestampMs, key }
    return { ...place, value, header: (name) => (headers as Record<string, string>)[name], headers: () => headers }
  }
}

const withRecords = ({ topic, partition, nextOffset, highWatermark }: RecordBatch, records: readonly LogRecord[]): RecordBatch =>
  new RecordList(topic, partition, records, nextOffset, highWatermark)
