// Who reads what. Topics with the same readers and the same number of partitions are co-partitioned: equal partition numbers
// go to one member, so that what has one key meets in one place. Loads differ by at most one partition number per such set
// of topics, and partitions stay where they are as far as that allows, since moving one means restoring its state elsewhere.

import type { TopicPartition } from './group.ts'

/** What a member says it owns, as of its last generation. */
export interface Claim {
  readonly generation: number
  readonly owned: readonly TopicPartition[]
}

export interface GroupReader {
  readonly memberId: string
  readonly topics: readonly string[]
  readonly claim: Claim
}

/** Co-partitioned topics and their readers. */
interface TopicSet {
  readonly topics: readonly string[]
  readonly count: number
  readonly readers: readonly GroupReader[]
}

/** `counts` = partitions per topic. Depends only on its arguments, whatever their order. Topics that nobody reads are left out. */
export const assign = (readers: readonly GroupReader[], counts: ReadonlyMap<string, number>): Map<string, TopicPartition[]> => {
  const plan = new Map<string, TopicPartition[]>([...readers].map(({ memberId }) => [memberId, []]))
  for (const set of topicSets(readers, counts)) assignSet(set, plan)
  return plan
}

const topicSets = (readers: readonly GroupReader[], counts: ReadonlyMap<string, number>): TopicSet[] => {
  const sets = new Map<string, { topics: string[]; count: number; readers: GroupReader[] }>()
  for (const [topic, count] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const members = readers.filter(({ topics }) => topics.includes(topic)).sort(byMemberId)
    if (members.length === 0) continue
    const id = JSON.stringify([count, ...members.map(({ memberId }) => memberId)])
    const set = sets.get(id) ?? { topics: [], count, readers: members }
    set.topics.push(topic)
    sets.set(id, set)
  }
  return [...sets.values()]
}

const byMemberId = (a: GroupReader, b: GroupReader): number => (a.memberId < b.memberId ? -1 : 1)

const assignSet = ({ topics, count, readers }: TopicSet, plan: Map<string, TopicPartition[]>): void => {
  // The member with fewer partitions of other topics comes first and takes the odd ones.
  const members = [...readers].sort((a, b) => plan.get(a.memberId)!.length - plan.get(b.memberId)!.length || byMemberId(a, b))
  const floor = Math.floor(count / members.length)
  let odd = count % members.length
  const load = new Map<string, number>(members.map(({ memberId }) => [memberId, 0]))
  const give = (partition: number, { memberId }: GroupReader): void => {
    for (const topic of topics) plan.get(memberId)!.push({ topic, partition })
    load.set(memberId, load.get(memberId)! + 1)
    if (load.get(memberId)! > floor) odd--
  }
  const hasRoom = ({ memberId }: GroupReader): boolean => load.get(memberId)! < floor || (load.get(memberId)! === floor && odd > 0)
  const owners = ownersOf(topics, members)
  const open: number[] = []
  for (let partition = 0; partition < count; partition++) {
    const owner = owners.get(partition)
    if (owner && hasRoom(owner)) give(partition, owner)
    else open.push(partition)
  }
  for (const partition of open) give(partition, members.find(({ memberId }) => load.get(memberId)! < floor) ?? members.find(hasRoom)!)
}

/** Who holds a partition number now: the newest claim counts, then the one to most topics, then the first name. */
const ownersOf = (topics: readonly string[], members: readonly GroupReader[]): Map<number, GroupReader> => {
  const best = new Map<number, { reader: GroupReader; topics: number }>()
  for (const reader of [...members].sort(byMemberId)) {
    const claimed = new Map<number, number>()
    for (const { topic, partition } of reader.claim.owned)
      if (topics.includes(topic)) claimed.set(partition, (claimed.get(partition) ?? 0) + 1)
    for (const [partition, number] of claimed) {
      const before = best.get(partition)
      const { generation } = reader.claim
      if (
        !before ||
        before.reader.claim.generation < generation ||
        (before.reader.claim.generation === generation && before.topics < number)
      )
        best.set(partition, { reader, topics: number })
    }
  }
  return new Map([...best].map(([partition, { reader }]) => [partition, reader]))
}
