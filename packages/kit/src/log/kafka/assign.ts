// Who reads what: every partition has one reader, loads differ by at most one per topic, and partitions stay where they
// are as far as that allows, since moving one means restoring its state elsewhere.

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

/** `counts` = partitions per topic. Depends only on its arguments, whatever their order. */
export const assign = (readers: readonly GroupReader[], counts: ReadonlyMap<string, number>): Map<string, TopicPartition[]> => {
  const plan = new Map<string, TopicPartition[]>([...readers].map(({ memberId }) => [memberId, []]))
  for (const topic of [...counts.keys()].sort())
    assignTopic(
      topic,
      counts.get(topic)!,
      readers.filter(({ topics }) => topics.includes(topic)),
      plan,
    )
  return plan
}

const assignTopic = (topic: string, count: number, readers: readonly GroupReader[], plan: Map<string, TopicPartition[]>): void => {
  if (readers.length === 0) return
  // The member with fewer partitions of other topics comes first and takes the odd ones.
  const members = [...readers].sort(
    (a, b) => plan.get(a.memberId)!.length - plan.get(b.memberId)!.length || (a.memberId < b.memberId ? -1 : 1),
  )
  const owners = new Map<number, GroupReader>()
  for (const reader of members)
    for (const owned of reader.claim.owned) {
      const before = owners.get(owned.partition)
      if (owned.topic === topic && owned.partition < count && (!before || before.claim.generation < reader.claim.generation))
        owners.set(owned.partition, reader)
    }
  const floor = Math.floor(count / members.length)
  let odd = count % members.length
  const load = new Map<string, number>(members.map(({ memberId }) => [memberId, 0]))
  const give = (partition: number, { memberId }: GroupReader): void => {
    plan.get(memberId)!.push({ topic, partition })
    load.set(memberId, load.get(memberId)! + 1)
    if (load.get(memberId)! > floor) odd--
  }
  const hasRoom = ({ memberId }: GroupReader): boolean => load.get(memberId)! < floor || (load.get(memberId)! === floor && odd > 0)
  const open: number[] = []
  for (let partition = 0; partition < count; partition++) {
    const owner = owners.get(partition)
    if (owner && hasRoom(owner)) give(partition, owner)
    else open.push(partition)
  }
  for (const partition of open) give(partition, members.find(({ memberId }) => load.get(memberId)! < floor) ?? members.find(hasRoom)!)
}
