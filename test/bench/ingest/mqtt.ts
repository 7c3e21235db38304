// P7: MQTT QoS 1 through a real ingest process: publish, safe on disk, PUBACK. Against mosquitto, which holds nothing on disk, from the same
// publishers to a subscriber that throws everything away.

import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkReachable } from '@andon/kit'
import { freePorts } from '@andon/platform'
import { type Contender, PeerMissing, ratio, run } from '../../harness/bench.ts'
import { processContender } from '../../harness/bench-process.ts'
import type { Benchmark } from '../benchmark.ts'
import { type Bench, withBroker } from '../core/broker.ts'
import { TOKEN, cpuUsOf, drivenBy, startIngest } from './rig.ts'

const SAMPLES = 12
const CONNECTIONS = 16
const IN_FLIGHT = 64

const publisher = (name: string, port: number, ...rest: string[]): Promise<Contender> =>
  processContender({
    name,
    command: [
      process.execPath,
      join(import.meta.dirname, 'workers', 'publish.ts'),
      String(port),
      TOKEN,
      String(CONNECTIONS),
      String(IN_FLIGHT),
      ...rest,
    ],
  })

/** An ingest process and its publishers; the CPU is that of ingest. */
const ingestBy = async (bench: Bench): Promise<Contender> => {
  const ingest = await startIngest(bench, ['mqtt'], ['INGEST_MQTT_PORT'])
  const driver = await publisher('andon', ingest.ports['INGEST_MQTT_PORT']!)
  return drivenBy(ingest, driver)
}

const installed = (name: string): string => {
  const path = ['/usr/sbin', '/usr/bin', '/usr/local/sbin', '/usr/local/bin']
    .map((folder) => join(folder, name))
    .find((each) => existsSync(each))
  if (path === undefined) throw new PeerMissing(`${name} is not installed (apt-get install mosquitto mosquitto-clients)`)
  return path
}

const mosquittoBy = async (bench: Bench): Promise<Contender> => {
  const [program, subscriber] = [installed('mosquitto'), installed('mosquitto_sub')]
  const [port] = (await freePorts(1)) as [number]
  const file = join(bench.folder, 'mosquitto.conf')
  // Without these it holds back what the subscriber has not answered yet.
  const unlimited = ['max_inflight_messages 0', 'max_queued_messages 0', 'set_tcp_nodelay true']
  const user = process.getuid?.() === 0 ? ['user root'] : []
  writeFileSync(file, [`listener ${port} 127.0.0.1`, 'allow_anonymous true', ...unlimited, ...user, ''].join('\n'))
  const child = spawn(program, ['-c', file], { stdio: 'ignore' })
  const url = `mqtt://127.0.0.1:${port}`
  for (let attempt = 0; ; attempt++) {
    try {
      await checkReachable([url], 'mosquitto', 500)
      break
    } catch (error) {
      if (attempt === 100) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  const driver = await publisher('mosquitto', port, subscriber)
  return {
    ...driver,
    run: async (rounds) => {
      const beforeUs = cpuUsOf(child.pid!)
      const cost = await driver.run(rounds)
      return { ...cost, cpuUs: cpuUsOf(child.pid!) - beforeUs }
    },
    close: async () => {
      await driver.close?.()
      child.kill('SIGKILL')
    },
  }
}

export const mqttMessages: Benchmark = {
  name: 'mqtt',
  ids: ['P7'],
  run: ({ samples = SAMPLES }) =>
    withBroker(async (bench) => {
      const race = await run({
        id: 'P7',
        judge: 'wall',
        sampleMs: 1200,
        warmUps: 3,
        samples,
        ours: () => ingestBy(bench),
        peers: { mosquitto: () => mosquittoBy(bench) },
      })
      const work = `one reading per message, QoS 1, ${CONNECTIONS} mqtt.js publishers with ${IN_FLIGHT} in flight; PUBACK once on disk; mosquitto: in memory, on to mosquitto_sub`
      return [
        ratio(race, {
          id: 'P7',
          peer: 'mosquitto',
          required: 0.7,
          unit: 'x the messages/s of mosquitto to a subscriber',
          detail: { work },
        }),
      ]
    }),
}
