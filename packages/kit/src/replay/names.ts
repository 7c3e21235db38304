// Names of a replay run. A run writes beside the live topics, never into them: `features` becomes `features.run.<id>`, the
// group `features` becomes `features.run.<id>`, and what derives from a group keeps its ending (`features.run.<id>.changelog`).

/** Ids of runs: lower-case letters, digits and dashes, at most 48. */
export const RUN_ID = /^[a-z0-9][a-z0-9-]{0,47}$/

const RUN_TOPIC = /^(.+)\.run\.([a-z0-9][a-z0-9-]{0,47})(\.changelog|\.dlq)?$/

/** The name under which a run writes what the service writes to `topic`; also for groups. */
export const runTopic = (topic: string, id: string): string => {
  const suffix = /\.(changelog|dlq)$/.exec(topic)?.[0] ?? ''
  return `${topic.slice(0, topic.length - suffix.length)}.run.${id}${suffix}`
}

/** Topic and run of a run's topic; undefined for any other topic. */
export const runOf = (name: string): { readonly topic: string; readonly id: string } | undefined => {
  const found = RUN_TOPIC.exec(name)
  return found === null ? undefined : { topic: `${found[1]}${found[3] ?? ''}`, id: found[2]! }
}

/** The topic whose records a run's topic holds; any other name as it is. Schemas go by this name. */
export const baseTopic = (name: string): string => runOf(name)?.topic ?? name
