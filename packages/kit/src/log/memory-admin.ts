// Administration of an in-process log: topics, ends, commits. Every question is a request of the schedule.

import type { MemoryContext } from './memory-run.ts'
import type { LogAdmin } from './port.ts'

export const memoryAdmin = ({ store, schedule, prefix }: Pick<MemoryContext, 'store' | 'schedule' | 'prefix'>): LogAdmin => {
  const ask = <T>(what: string, work: () => T): Promise<T> => schedule.request('ask', what, work)
  const partitionAt = (topic: string, partition: number) => store.partition(prefix + topic, partition)
  return {
    ensureTopics: (topics) =>
      ask(`topics ${topics.map(({ name }) => name).join(' ')}`, () => {
        for (const spec of topics) {
          const topic = store.topics.get(prefix + spec.name) ?? store.create(prefix + spec.name, spec.partitions)
          topic.configs = { ...topic.configs, ...spec.configs }
        }
      }),
    topics: () =>
      ask('topics', () =>
        [...store.topics.values()]
          .filter(({ name }) => name.startsWith(prefix))
          .map(({ name, partitions }) => ({ name: name.slice(prefix.length), partitions: partitions.length })),
      ),
    partitions: (topic) => ask(`partitions of ${topic}`, () => store.topic(prefix + topic).partitions.length),
    watermarks: (topic) =>
      ask(`ends of ${topic}`, () => store.topic(prefix + topic).partitions.map(({ partition, low, high }) => ({ partition, low, high }))),
    offsetAt: (topic, partition, timestampMs) =>
      ask(`time in ${topic}/${partition}`, () => {
        const part = partitionAt(topic, partition)
        return part.records.find((record) => record.timestampMs >= timestampMs)?.offset ?? part.high
      }),
    endOfEpoch: (topic, partition, leaderEpoch) =>
      ask(`end of epoch ${leaderEpoch} in ${topic}/${partition}`, () => {
        const part = partitionAt(topic, partition)
        return part.records.find((record) => record.leaderEpoch > leaderEpoch)?.offset ?? part.high
      }),
    committed: (group, topic) =>
      ask(`positions of ${group}`, () => {
        const found = new Map<number, number>()
        for (const { partition } of store.topic(prefix + topic).partitions) {
          const offset = store.group(prefix + group).committed.get(`${prefix}${topic}/${partition}`)
          if (offset !== undefined) found.set(partition, offset)
        }
        return found
      }),
    deleteTopics: (names) =>
      ask(`delete ${names.join(' ')}`, () => {
        for (const name of names) store.topics.delete(prefix + name)
      }),
    describe: async () => ({ clusterId: 'memory', brokers: [] }),
  }
}
