// Following whole topics without a group.

import { followHandlers } from '../follow-handlers.ts'
import { FollowProgress } from '../follow-progress.ts'
import { PartitionRunner } from '../partition-runner.ts'
import type { Follow, FollowOptions } from '../port.ts'
import type { KafkaContext } from './log.ts'
import { MAX_BYTES, MAX_BYTES_PER_PARTITION, Reader } from './reader.ts'
import { startOffset } from './start-offset.ts'

export const followKafka = async (context: KafkaContext, options: FollowOptions): Promise<Follow> => {
  const { prefix, transport: lookups } = context
  const partitions: { topic: string; partition: number }[] = []
  for (const topic of options.topics)
    for (const { partition } of await lookups.leaders(prefix + topic)) partitions.push({ topic, partition })
  const transport = await context.open()
  const end = Promise.withResolvers<void>()
  end.promise.catch(() => undefined) // whoever cares awaits `ended`
  const runners = new Map<string, PartitionRunner>()
  const progress = new FollowProgress((id) => runners.get(id)?.reached())
  let stopping: Promise<void> | undefined
  const stop = (error?: unknown): Promise<void> => {
    stopping ??= (async () => {
      const reading = reader.stop()
      await Promise.all([...runners.values()].map((runner) => runner.close()))
      await transport.close()
      await reading
      if (error === undefined) end.resolve()
      else end.reject(error)
    })()
    return stopping
  }
  const reader = new Reader(transport, {
    maxWaitMs: options.maxWaitMs ?? 500,
    maxBytesPerPartition: options.maxBytesPerPartition ?? MAX_BYTES_PER_PARTITION,
    maxBytes: options.maxBytes ?? MAX_BYTES,
    plainName: (topic) => topic.slice(prefix.length),
    onFatal: (error) => void stop(error),
  })
  const log = {
    endOfEpoch: (name: string, number: number, epoch: number) => lookups.endOfEpoch(prefix + name, number, epoch),
    end: (name: string, number: number) => lookups.latest(prefix + name, number),
  }
  const handlers = followHandlers(options, log, progress)
  for (const { topic, partition } of partitions) {
    const runner = new PartitionRunner(topic, partition, handlers, {
      resolve: (name, number, at) => startOffset(lookups, prefix + name, number, at),
      onHungry: () => reader.hungry(),
      onProgress: () => progress.check(),
      onHandled: (batch) => reader.handled(batch),
      onFatal: (error) => void stop(error),
    })
    runners.set(`${topic}/${partition}`, runner)
    reader.add(prefix + topic, runner, lookups.known(prefix + topic)?.[partition]?.leaderEpoch)
    runner.start(undefined)
  }
  const ends = async (): Promise<Map<string, number>> => {
    const found = partitions.map(async (each) => [`${each.topic}/${each.partition}`, await log.end(each.topic, each.partition)] as const)
    return new Map(await Promise.all(found))
  }
  return {
    caughtUp: () => Promise.race([progress.reached(ends), end.promise]),
    ended: end.promise,
    stop: () => stop(),
  }
}
