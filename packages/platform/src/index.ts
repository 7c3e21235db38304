// The embedded platform: Kafka, schema registry, Redis and NATS as supervised child processes; single servers for tests.

export { type Child, type Exit, type Program, tail } from './child.ts'
export { requireJava } from './kafka/distribution.ts'
export { describeBroker } from './kafka/wire.ts'
export { type Home, homeAt, kafkaCache, repositoryRoot } from './layout.ts'
export {
  type Platform,
  type PlatformOptions,
  type PlatformPorts,
  answersOk,
  clusterPorts,
  nodeProgram,
  platformPorts,
  startPlatform,
} from './platform.ts'
export { type Pki, caFileOf, ensurePki } from './pki.ts'
export { type ProcessIdentity, freePorts, isPortFree, isRunning, memoryBytes, portHolder } from './processes.ts'
export { type Kafka, type Server, type ServerOptions, startKafka, startNats, startRedis, startRegistry } from './standalone.ts'
export {
  type ChildState,
  type MeshState,
  Supervisor,
  type SupervisorEvent,
  type SupervisorOptions,
  clearLeftovers,
  endProcesses,
  readState,
} from './supervisor.ts'
export { type PartName, PARTS, findJava, findPart, installCommand } from './system.mjs'
