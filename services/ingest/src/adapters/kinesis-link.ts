// One Kinesis stream → readings: every shard polled in turn, parents before children, positions kept where every instance finds them. A
// position moves after the readings before it are safe, so after a crash some records come again: they are known by their sequence number.

import { setTimeout as pause } from 'node:timers/promises'
import {
  ExpiredIteratorException,
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  ListShardsCommand,
} from '@aws-sdk/client-kinesis'
import type { GetRecordsOutput } from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { messageOf } from '@andon/kit'
import type { Logger } from '@andon/kit'
import type { PlantSource } from '@andon/schemas'
import { readableShards, withoutExpired } from '../kinesis-shards.ts'
import type { KinesisPosition, Shard } from '../kinesis-shards.ts'
import { compileMapping } from '../mapping.ts'
import type { Link } from '../pull-sources.ts'
import { takeMessages } from './mapped-payload.ts'
import { patiently } from './patient-intake.ts'
import type { PositionFile } from './positions.ts'
import type { Intake } from './source.ts'
import type { StreamMetrics } from './stream-metrics.ts'

export type KinesisFile = Extract<PlantSource, { kind: 'kinesis' }>

export interface KinesisLinkDeps {
  readonly file: KinesisFile
  readonly position: PositionFile<KinesisPosition>
  readonly intake: Intake
  readonly logger: Logger
  readonly metrics: StreamMetrics
  readonly nowMs: () => number
  /** How long a shard without records is left alone. Kinesis takes five polls a second per shard, of all readers together. */
  readonly idleMs: number
}

const recordsPerPoll = 1000
const betweenPollsMs = 250
const relistMs = 30_000
const backoffMs = { first: 500, most: 10_000 } as const

export const openKinesisLink = ({ file, position, intake, logger, metrics, nowMs, idleMs }: KinesisLinkDeps): Link => {
  const { stream } = file
  const mapping = compileMapping(file.mapping, file)
  const abort = new AbortController()
  const client = new KinesisClient({
    region: file.region,
    // Polls gain nothing from HTTP/2, the SDK's default here, which servers other than the region's speak badly without TLS.
    requestHandler: new NodeHttpHandler({ connectionTimeout: 5000, requestTimeout: 30_000 }),
    ...(file.endpoint !== undefined && { endpoint: file.endpoint }),
  })
  const polled = new Map<string, Promise<void>>()
  let state: true | string = 'not started'
  let reached: KinesisPosition = { startedMs: 0, shards: {} }
  let wake = Promise.withResolvers<void>()

  const sleep = (ms: number) => pause(ms, undefined, { signal: abort.signal }).catch(() => undefined)

  const shardsOf = async (): Promise<Shard[]> => {
    const shards: Shard[] = []
    for (let token: string | undefined, first = true; first || token !== undefined; first = false) {
      const page = await client.send(new ListShardsCommand(token === undefined ? { StreamName: stream } : { NextToken: token }))
      for (const { ShardId = '', ParentShardId, AdjacentParentShardId } of page.Shards ?? []) {
        shards.push({ id: ShardId, parents: [ParentShardId, AdjacentParentShardId].filter((id) => id !== undefined) })
      }
      token = page.NextToken
    }
    return shards
  }

  const iteratorOf = async ({ id, parents }: Shard): Promise<string | undefined> => {
    const after = reached.shards[id] ?? undefined
    // A child begins where its parents ended, wherever the source began.
    const isFromNewest = file.from === 'newest' && parents.length === 0
    const where =
      after !== undefined
        ? { ShardIteratorType: 'AFTER_SEQUENCE_NUMBER' as const, StartingSequenceNumber: after }
        : isFromNewest
          ? { ShardIteratorType: 'AT_TIMESTAMP' as const, Timestamp: new Date(reached.startedMs) }
          : { ShardIteratorType: 'TRIM_HORIZON' as const }
    return (await client.send(new GetShardIteratorCommand({ StreamName: stream, ShardId: id, ...where }))).ShardIterator
  }

  const take = async (shardId: string, records: NonNullable<GetRecordsOutput['Records']>): Promise<void> => {
    const messages = records.map(({ Data = new Uint8Array(), SequenceNumber = '', PartitionKey = '', ApproximateArrivalTimestamp }) => {
      const payload = Buffer.from(Data.buffer, Data.byteOffset, Data.byteLength)
      const receivedUs = (ApproximateArrivalTimestamp?.getTime() ?? nowMs()) * 1000
      const readings = mapping.ofPayload(payload, { levels: [stream], names: { recordKey: PartitionKey }, receivedUs })
      return { readings, bytes: payload.length, identity: `kinesis:${stream}:${shardId}:${SequenceNumber}` }
    })
    await patiently(() => takeMessages(intake, 'kinesis', file.mapping, messages), { signal: abort.signal })
    metrics.taken(file.id, records.length)
  }

  const keep = async (shardId: string, sequence: string | null): Promise<void> => {
    reached = { ...reached, shards: { ...reached.shards, [shardId]: sequence } }
    await position.write(reached)
  }

  /** Reads a shard to its end, or until the link stops. Rejects with what only another iterator, or time, can help. */
  const poll = async (shard: Shard): Promise<void> => {
    let iterator = await iteratorOf(shard)
    while (!abort.signal.aborted) {
      if (iterator === undefined) {
        await keep(shard.id, null)
        return
      }
      const {
        Records = [],
        NextShardIterator,
        MillisBehindLatest = 0,
      } = await client.send(new GetRecordsCommand({ ShardIterator: iterator, Limit: recordsPerPoll }))
      state = true
      const last = Records.at(-1)?.SequenceNumber
      if (last !== undefined) {
        await take(shard.id, Records)
        await keep(shard.id, last)
      }
      iterator = NextShardIterator
      if (iterator !== undefined) await sleep(MillisBehindLatest > 0 || last !== undefined ? Math.min(betweenPollsMs, idleMs) : idleMs)
    }
  }

  const pollPatiently = async (shard: Shard): Promise<void> => {
    for (let waitMs: number = backoffMs.first; !abort.signal.aborted; waitMs = Math.min(waitMs * 2, backoffMs.most)) {
      try {
        await poll(shard)
        return
      } catch (error) {
        if (abort.signal.aborted) return
        if (error instanceof ExpiredIteratorException) continue // the next one begins at the position
        failed(error)
        await sleep(waitMs / 2 + (Math.random() * waitMs) / 2) // readers that were throttled together come back apart
      }
    }
  }

  const failed = (error: unknown) => {
    metrics.failed(file.id)
    if (state !== messageOf(error)) logger.warn({ err: error, source: file.id, stream }, 'a Kinesis stream cannot be read')
    state = messageOf(error)
  }

  const read = async (): Promise<void> => {
    let isKnown = false
    while (!abort.signal.aborted) {
      try {
        if (!isKnown) {
          reached = (await position.read()) ?? { startedMs: nowMs(), shards: {} }
          await position.write(reached)
          isKnown = true
        }
        const shards = await shardsOf()
        state = true
        reached = withoutExpired(shards, reached)
        for (const shard of readableShards(shards, reached)) {
          if (polled.has(shard.id)) continue
          const ended = pollPatiently(shard).then(() => {
            polled.delete(shard.id)
            wake.resolve() // its children can be read now
          })
          polled.set(shard.id, ended)
        }
        wake = Promise.withResolvers()
        await Promise.race([sleep(relistMs), wake.promise])
      } catch (error) {
        if (abort.signal.aborted) return
        failed(error)
        await sleep(backoffMs.first)
      }
    }
  }

  const reading = read()
  return {
    up: () => state,
    stop: async () => {
      abort.abort()
      await reading
      await Promise.all(polled.values())
      client.destroy()
    },
  }
}
