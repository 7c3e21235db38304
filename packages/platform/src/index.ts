// The embedded platform: Kafka, schema registry, Redis and NATS as supervised child processes; single servers for tests.

export { freePorts, isPortFree, portHolder } from './processes.ts'
export { type Kafka, type Server, type ServerOptions, startKafka, startNats, startRedis } from './standalone.ts'
