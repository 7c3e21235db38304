// Class summaries on clustering.changelog: one record per class and partition of predictions, the newest counts. All of a class lie on one
// partition, whose owner fits it. They are cumulative: one that is lost or comes twice changes nothing for long.

import { changelogTopic, partitionOf } from '@andon/kit'
import type { Append, Codec } from '@andon/kit'
import type { Changelog, ChangelogInput } from '@andon/schemas'

export const CHANGELOG = changelogTopic('clustering')

const record = (
  codec: Codec,
  kind: 'summary' | 'told',
  classId: string,
  inputPartition: number,
  partitions: number,
  state: string,
): Append => {
  const value: ChangelogInput = {
    type: kind,
    inputTopic: 'predictions',
    inputPartition,
    leaderEpoch: -1,
    offset: -1,
    state: Buffer.from(state),
  }
  const key = `${kind}:${classId}:${inputPartition}`
  return { topic: CHANGELOG, key, partition: partitionOf(classId, partitions), value: codec.encode(CHANGELOG, value) }
}

/** What a partition of `predictions` knows of a class, for the class's fitter. */
export const summaryRecord = (codec: Codec, classId: string, partition: number, partitions: number, summary: string): Append =>
  record(codec, 'summary', classId, partition, partitions, summary)

/** The model whose changes people have been told. */
export const toldRecord = (codec: Codec, classId: string, partitions: number, digest: string): Append =>
  record(codec, 'told', classId, 0, partitions, digest)

export interface FitterRecord {
  readonly kind: 'summary' | 'told'
  readonly classId: string
  readonly partition: number
  readonly text: string
}

/** Undefined for everything else on the changelog, which is not even decoded. */
export const readFitterRecord = async (codec: Codec, key: string | null, value: Buffer | null): Promise<FitterRecord | undefined> => {
  const found = /^(summary|told):(.*):(\d+)$/.exec(key ?? '')
  if (found === null || value === null) return undefined
  const { state } = await codec.decodeAsync<Changelog>(CHANGELOG, value)
  if (state === null) return undefined
  const [, kind, classId, partition] = found as unknown as [string, 'summary' | 'told', string, string]
  return { kind, classId, partition: Number(partition), text: Buffer.from(state).toString('utf8') }
}
