// topology.json → generated/topology.md: the map of the mesh as a diagram and as a table.

import type { Topology } from './topology.ts'

/** Text of generated/topology.md. */
export const generateDiagram = (topology: Topology): string => {
  const services = Object.entries(topology.services)
  const edges = services.flatMap(([service, { reads, writes }]) => [
    ...writes.map((topic) => `  ${service} --> ${topicNode(topic)}`),
    // The console reads everything: its edges would hide the others.
    ...(service === 'console' ? [] : reads.map((topic) => `  ${topicNode(topic)} --> ${service}`)),
  ])
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [
    '# Topology',
    '',
    'Generated from `schemas/topology.json` by `npm run generate`. Boxes are services, rounded ones topics. The console reads every topic and is left out of the picture.',
    '',
    '```mermaid',
    'flowchart LR',
    ...edges,
    '```',
    '',
    row(['service', 'reads', 'writes', 'admin port', 'other ports']),
    row(Array.from({ length: 5 }, () => '---')),
    ...services.map(([service, { reads, readsByRange, writes, changelog, admin, ports }]) =>
      row([
        service,
        [...reads, ...(readsByRange ?? []).map((topic) => `${topic} (by range)`)].join(', '),
        [...writes, ...(changelog === true ? [`${service}.changelog`] : [])].join(', ') || '-',
        String(admin),
        Object.entries(ports)
          .map(([name, port]) => `${name} ${port}`)
          .join(', ') || '-',
      ]),
    ),
    '',
    row(['topic', 'key', 'partitions', 'kept']),
    row(Array.from({ length: 4 }, () => '---')),
    ...Object.entries(topology.topics).map(([topic, { key, partitions, configs }]) =>
      row([topic, key, String(partitions), kept(configs['retention.ms'])]),
    ),
    '',
  ].join('\n')
}

/** Services and topics share names (features, actions), so a topic's node has an id of its own. */
const topicNode = (topic: string): string => `topic-${topic}([${topic}])`

const kept = (retentionMs: string | undefined): string => {
  if (retentionMs === undefined || retentionMs === '-1') return 'without limit'
  const days = Number(retentionMs) / 86_400_000
  return `${days} days`
}
