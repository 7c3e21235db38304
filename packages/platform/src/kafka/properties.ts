// Settings of an embedded broker: a KRaft node on loopback, small. Alone, or one of a cluster whose nodes keep every record on all and
// acknowledge it when two have it; durable as DESIGN.md §3.1 says for one node either way, since they share a host.

export interface BrokerSettings {
  readonly port: number
  readonly controllerPort: number
  readonly dataDir: string
  /** Where clients are sent; default: `port`. A fault proxy's port leads all of them through it. */
  readonly advertisedPort?: number
  readonly cluster?: ClusterPlace
  /** More `server.properties` lines, for tests and faults. */
  readonly extra?: Readonly<Record<string, string>>
}

/** The place of one node among the nodes of its cluster. */
export interface ClusterPlace {
  /** 1, 2, 3 … */
  readonly nodeId: number
  /** Controller port of every node, in the order of their ids. */
  readonly controllerPorts: readonly number[]
  /** Where the other brokers fetch; clients never come here. */
  readonly replicationPort: number
}

/** Properties by which a node of a cluster differs from a node alone. */
const clusterProperties = ({ nodeId, controllerPorts, replicationPort }: ClusterPlace, settings: Record<string, string | number>) => {
  const nodes = controllerPorts.length
  const inSync = Math.min(2, nodes)
  return {
    'node.id': nodeId,
    'controller.quorum.voters': controllerPorts.map((port, i) => `${i + 1}@127.0.0.1:${port}`).join(),
    listeners: `${settings['listeners']},REPLICATION://127.0.0.1:${replicationPort}`,
    'advertised.listeners': `${settings['advertised.listeners']},REPLICATION://127.0.0.1:${replicationPort}`,
    'inter.broker.listener.name': 'REPLICATION',
    'listener.security.protocol.map': `${settings['listener.security.protocol.map']},REPLICATION:PLAINTEXT`,
    'default.replication.factor': nodes,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': nodes,
    'transaction.state.log.replication.factor': nodes,
    'transaction.state.log.min.isr': inSync,
    'share.coordinator.state.topic.replication.factor': nodes,
    'share.coordinator.state.topic.min.isr': inSync,
    'replica.fetch.wait.max.ms': 200,
    'replica.lag.time.max.ms': 5000,
  }
}

/** The text of server.properties. */
export const brokerProperties = ({ port, controllerPort, dataDir, advertisedPort = port, cluster, extra }: BrokerSettings): string => {
  const settings: Record<string, string | number> = {
    'process.roles': 'broker,controller',
    'node.id': 1,
    // Static voters: a data folder may come back on another port.
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${advertisedPort}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': dataDir,
    // A killed broker may register again only when its old session has ended: 9 s by default.
    'broker.session.timeout.ms': 3000,
    'broker.heartbeat.interval.ms': 500,
    'auto.create.topics.enable': 'false',
    'num.partitions': 1,
    'default.replication.factor': 1,
    'min.insync.replicas': 1,
    // Both: the scheduler interval alone turns on 1 s flushes for every topic.
    'log.flush.scheduler.interval.ms': 1000,
    'log.flush.interval.ms': 5000,
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 3,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'transaction.state.log.num.partitions': 3,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    'share.coordinator.state.topic.num.partitions': 1,
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 1000,
    'group.coordinator.threads': 1,
    'num.network.threads': 2,
    'num.io.threads': 2,
    'background.threads': 2,
    'num.recovery.threads.per.data.dir': 1,
    'log.cleaner.threads': 1,
    'log.cleaner.dedupe.buffer.size': 4_194_304,
    'log.cleaner.backoff.ms': 1000,
    'log.retention.check.interval.ms': 10_000,
  }
  const all = { ...settings, ...(cluster === undefined ? {} : clusterProperties(cluster, settings)), ...extra }
  return `${Object.entries(all)
    .map(([name, value]) => `${name}=${value}`)
    .join('\n')}\n`
}
