// Starts the schema registry as a process of its own. It serves as soon as `_schemas` is read whole, and ends when another registry has the topic.

import { createServer } from 'node:http'
import { openKafkaLog } from '@andon/kit'
import { messageOf } from '@andon/kit/errors'
import { env, readConfig, sharedSettings } from '@andon/kit/settings'
import { registryApp } from './app.ts'
import { createRegistry } from './registry.ts'
import { openRegistryStore } from './store.ts'

const end = (error: unknown): never => {
  console.error(`registry: ${messageOf(error)}`)
  process.exit(1)
}

try {
  const config = readConfig(process.env, {
    kafkaBrokers: sharedSettings.kafkaBrokers,
    host: sharedSettings.host,
    port: env.port('REGISTRY_HTTP_PORT', 'Port of the schema registry', (offset) => 8081 + offset),
  })
  const log = await openKafkaLog({ brokers: config.kafkaBrokers, clientId: 'registry' })
  const store = await openRegistryStore(log)
  store.failed.catch(end)
  const server = createServer(registryApp(createRegistry(store)))
  server.once('error', (error: NodeJS.ErrnoException) =>
    end(
      error.code === 'EADDRINUSE'
        ? new Error(`Port ${config.port} is in use. Set REGISTRY_HTTP_PORT or ANDON_PORT_OFFSET, or stop who holds it.`)
        : error,
    ),
  )
  server.listen(config.port, config.host, () => console.log(`registry: serving on http://${config.host}:${config.port}`))

  const stop = async (): Promise<void> => {
    server.close()
    server.closeAllConnections()
    await store.close()
    await log.close()
    process.exit(0)
  }
  process.once('SIGTERM', () => void stop().catch(end)) // its failure is the process's end
  process.once('SIGINT', () => void stop().catch(end))
} catch (error) {
  end(error)
}
