// Which shards of a Kinesis stream are read now. Pure. A stream is split and merged while it is read: records of a key are in order only
// when a shard is read after its parents have been read to their ends.

export interface Shard {
  readonly id: string
  /** One after a split, two after a merge. */
  readonly parents: readonly string[]
}

/** How far a stream was read. */
export interface KinesisPosition {
  /** When the source was first read: where shards without a position begin that are to be read from their newest record. */
  readonly startedMs: number
  /** Sequence number of the last record that is safe, by shard; null: read to its end. */
  readonly shards: Readonly<Record<string, string | null>>
}

/** Shards with something to read whose parents have nothing left. A parent that Kinesis no longer lists has expired. */
export const readableShards = (shards: readonly Shard[], position: KinesisPosition): Shard[] => {
  const listed = new Set(shards.map(({ id }) => id))
  const isDone = (id: string) => position.shards[id] === null
  return shards.filter(({ id, parents }) => !isDone(id) && parents.every((parent) => !listed.has(parent) || isDone(parent)))
}

/** The same position without shards that have expired, whose ends nobody asks for any more. */
export const withoutExpired = (shards: readonly Shard[], position: KinesisPosition): KinesisPosition => {
  const listed = new Set(shards.map(({ id }) => id))
  return { ...position, shards: Object.fromEntries(Object.entries(position.shards).filter(([id]) => listed.has(id))) }
}
