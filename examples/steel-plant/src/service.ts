// The demo plant as one process: two recordings, a simulated press with its line controller, cameras, and the places that
// receive what Andon sends. To the mesh it is the outside world: it uses the doors of the services and nothing else.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AndonError, createLogger, createMetrics, type Part, type Service } from '@andon/kit'
import { readPlantFolder, type Plant } from '@andon/schemas'
import type { SteelPlantConfig } from './config.ts'
import { startCameras, type Cameras } from './cameras.ts'
import { nothingInjected, startControl } from './control.ts'
import { startLineSimulator, type LineSimulator } from './line-simulator.ts'
import { openOutbox, type Outbox, type OutboxOptions } from './outbox.ts'
import { createPress } from './press.ts'
import { openPressFeed, processSource, vibrationSource, type PressFeed } from './press-feed.ts'
import { httpDelivery } from './publishers/http.ts'
import { openMqtt, type MqttPublisher } from './publishers/mqtt.ts'
import { openNats, type NatsPublisher } from './publishers/nats.ts'
import { readMachineTemperature, readSteelEnergy, type Recording } from './recordings.ts'
import { rowAt, startReplay, type Replay } from './replay.ts'
import { isScene, sceneNames } from './scenes.ts'
import { startSinks, type Sinks } from './sinks.ts'

/** A source that fell behind by more starts over under a new epoch instead of sending what nobody can use any more. */
const longestLagUs = 60e6
const tickMs = 100

export const createSteelPlantService = (config: SteelPlantConfig): Service => {
  const logger = createLogger({ service: 'steel-plant', level: config.logLevel })
  const metrics = createMetrics('steel-plant', { withProcess: true })
  const readings = metrics.counter('andon_steel_plant_readings_total', 'Readings of the demo sources by outcome', ['source', 'outcome'])
  const plant = readPlantFolder(config.plantDir, { portOffset: config.portOffset }).find((each) => each.kind === 'plant')!.value as Plant
  const injected = nothingInjected()
  const nowUs = () => Date.now() * 1000

  let line: LineSimulator
  let cameras: Cameras | undefined
  let sinks: Sinks
  let mqtt: MqttPublisher
  let nats: NatsPublisher
  let feed: PressFeed
  let replays: { machine: Replay; energy: Replay }
  const outboxes = new Map<string, Outbox>()

  const outbox = (source: string, deliver: OutboxOptions['deliver'], maxBatch: number, maxWaiting: number): Outbox => {
    const made = openOutbox({
      source,
      maxBatch,
      maxWaiting,
      deliver: async (batch, signal) => {
        const answer = await deliver(batch, signal)
        readings.inc({ source, outcome: 'acknowledged' }, batch.length - answer.quarantined)
        if (answer.quarantined > 0) readings.inc({ source, outcome: 'quarantined' }, answer.quarantined)
        return answer
      },
      onTrouble: (error) => {
        if (error) logger.warn({ source, reason: error.message }, 'ingest does not take readings, keeping them')
        else logger.info({ source }, 'ingest takes readings again')
      },
    })
    outboxes.set(source, made)
    return made
  }

  const controller: Part = {
    name: 'line',
    async start() {
      line = await startLineSimulator({ port: config.linePort, pkiDir: join(config.dataDir, 'steel-plant') })
    },
    stop: async () => line?.stop(),
  }

  const cameraPart: Part = {
    name: 'cameras',
    async start() {
      if (!config.cameras) return
      const simulated = plant.cameras.flatMap(({ id, scene = '' }) => {
        if (!isScene(scene))
          throw new AndonError('ANDON_STEEL_PLANT_SCENE', `Camera ${id}: scene ${scene || 'nothing'}, expected ${sceneNames.join(' or ')}`)
        return [{ id, scene }]
      })
      cameras = await startCameras({
        host: config.host,
        port: config.cameraPort,
        cameras: simulated,
        onTrouble: (camera, message) => logger.warn({ camera, message }, 'camera encoder ended, starting it again'),
      })
    },
    stop: async () => cameras?.stop(),
  }

  const sinkPart: Part = {
    name: 'sinks',
    async start() {
      sinks = await startSinks({
        host: config.host,
        httpPort: config.sinkPort,
        smtpPort: config.smtpPort,
        webhookSecret: config.webhookSecret,
      })
    },
    stop: async () => sinks?.stop(),
  }

  let timer: NodeJS.Timeout
  const sources: Part = {
    name: 'sources',
    async start() {
      const token = readToken(config.tokenFile)
      mqtt = openMqtt({ url: config.mqttUrl, clientId: 'press-1', token })
      nats = openNats({ url: config.natsUrl, name: 'works-power-meter', prefix: config.namespace })
      // About ten minutes of each source: older readings would only count as historical.
      const vibration = outbox(vibrationSource, (batch, signal) => mqtt.deliver(batch, signal), 8, 2400)
      const process = outbox(processSource, (batch, signal) => mqtt.deliver(batch, signal), 100, 3000)
      const machine = outbox('nab-machine-temperature', httpDelivery({ url: config.ingestUrl, token }), 200, 10_000)
      const energy = outbox('steel-energy', (batch) => nats.deliver(batch), 200, 10_000)

      const recorded = (file: string, read: (archive: Buffer) => Recording) => read(readFileSync(join(config.plantDir, 'recordings', file)))
      const temperature = recorded('nab/machine_temperature_system_failure.csv.gz', readMachineTemperature)
      const power = recorded('steel-energy/steel_rows_1-28000.csv.gz', readSteelEnergy)
      const replay = (source: string, asset: string, recording: Recording, speed: number, from: string) =>
        startReplay({ source, asset, recording, speed, fromRow: rowAt(recording, recordedUs(from)) }, nowUs())
      const begin = () => {
        feed = openPressFeed(createPress({ seed: config.seed }), nowUs())
        replays = {
          machine: replay('nab-machine-temperature', 'furnace-fan', temperature, config.nabSpeed, config.nabFrom),
          energy: replay('steel-energy', 'works-power', power, config.energySpeed, config.energyFrom),
        }
      }
      begin()
      let lastUs = nowUs()
      timer = setInterval(() => {
        const now = nowUs()
        if (now - lastUs > longestLagUs || now < lastUs) {
          logger.warn({ lagS: (now - lastUs) / 1e6 }, 'the clock jumped, sources start over')
          begin()
        }
        lastUs = now
        const running = line.line.state === 'running'
        cameras?.show(running)
        const press = feed.due(now, { driveOn: running, bearingWear: injected.bearingWear, stuck: injected.stuck })
        vibration.add(press.vibration)
        process.add(press.process)
        machine.add(replays.machine.due(now))
        energy.add(replays.energy.due(now))
      }, tickMs)
    },
    async stop() {
      clearInterval(timer)
      await Promise.all([...outboxes.values()].map((one) => one.stop()))
      await mqtt?.stop()
      await nats?.stop()
    },
  }

  let control: { close(): Promise<void> } | undefined
  const controlPart: Part = {
    name: 'control',
    async start() {
      control = await startControl({
        host: config.host,
        port: config.controlPort,
        injected,
        feed: () => feed,
        line,
        cameras,
        outboxes: () => Object.fromEntries([...outboxes].map(([source, one]) => [source, one.counts()])),
        acknowledged: () => Object.fromEntries([...outboxes].map(([source, one]) => [source, one.acknowledged()])),
        positions: () => ({ 'furnace-fan': isoOf(replays.machine.positionUs()), 'works-power': isoOf(replays.energy.positionUs()) }),
      })
    },
    stop: async () => control?.close(),
  }

  return {
    name: 'steel-plant',
    parts: [controller, sinkPart, cameraPart, sources, controlPart],
    admin: { host: config.host, port: config.adminPort },
    logger,
    metrics,
    about: () => ({ simulated: true }),
  }
}

const isoOf = (us: number | undefined): string | undefined => (us === undefined ? undefined : new Date(us / 1000).toISOString())

const recordedUs = (text: string): number => {
  const ms = Date.parse(`${text.replace(' ', 'T').replace(/Z$/, '')}Z`)
  if (Number.isNaN(ms))
    throw new AndonError('ANDON_SETTING_INVALID', `STEEL_PLANT_…_FROM: expected a time like 2013-12-14T01:50:00, found ${text}`)
  return ms * 1000
}

const readToken = (file: string): string => {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new AndonError(
      'ANDON_STEEL_PLANT_TOKEN',
      `STEEL_PLANT_TOKEN_FILE: expected the integrator's token in ${file}, found no readable file. Start with \`andon up\`, which writes it, or correct the setting.`,
      { cause: error },
    )
  }
}
