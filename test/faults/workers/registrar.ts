// A service that decodes with the schema registry: one fact on `devices` for every block on `telemetry`, without state.

import { emitter, isRetriable, openLog, runProcess, startMessage } from '@andon/kit'
import type { KafkaLogOptions } from '@andon/kit'
import type { DevicesInput, Telemetry } from '@andon/schemas'
import { onTermination, tell, workerConfig } from './worker.ts'

interface Config {
  readonly brokers: readonly string[]
  readonly namespace: string
  readonly registryUrl: string
  readonly client: NonNullable<KafkaLogOptions['client']>
}

const config = workerConfig<Config>()

const open = async () => {
  const { brokers, namespace, registryUrl, client } = config
  try {
    return await openLog({ kafkaBrokers: brokers, registryUrl, namespace, registerSchemas: true }, 'faults-registrar', { client })
  } catch (error) {
    // As runService ends a start that failed: one message, exit code 1.
    process.stderr.write(`${startMessage('registrar', error)}\n`)
    process.exit(1)
  }
}

const { log, codec } = await open()
const run = await runProcess<Telemetry>(
  log,
  codec,
  {
    service: 'registrar',
    input: 'telemetry',
    outputs: ['devices'],
    open: () => ({
      handle: (batch) => {
        const out = emitter()
        for (const input of batch.inputs) {
          const value: DevicesInput = { type: 'DeviceEnrolled', deviceId: input.id, by: 'registrar', atUs: 0 }
          out.emit(input, {
            topic: 'devices',
            key: input.key,
            value,
            id: `device:${input.id}`,
            type: 'andon.devices',
            timeUs: 0,
            partition: input.partition,
          })
        }
        return out
      },
    }),
  },
  {
    logger: {
      info: () => undefined,
      warn: (fields, text) => {
        const { error } = fields as { error?: unknown }
        if (isRetriable(error)) tell({ waits: text })
      },
    },
    metrics: { counter: () => ({ inc: () => undefined }) },
  },
)
onTermination(async () => {
  await run.stop()
  await log.close()
})
run.ended.catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
tell({ ready: true })
