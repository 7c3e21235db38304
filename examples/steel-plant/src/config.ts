// Environment → settings of the demo plant.

import { fileURLToPath } from 'node:url'
import { env, readConfig, sharedSettings, type Environment, type Setting } from '@andon/kit'

const speed = (setting: Setting<number>): Setting<number> => ({
  ...setting,
  expected: 'a number above 0',
  parse: (text) => {
    const value = setting.parse(text)
    return value !== undefined && value > 0 ? value : undefined
  },
})

const shiftedUrl = (scheme: string, port: number) => (offset: number) => `${scheme}://127.0.0.1:${port + offset}`
const shiftedPort = (port: number) => (offset: number) => port + offset

export const loadConfig = (source: Environment) => {
  const { host, dataDir, natsUrl, namespace, logLevel } = sharedSettings
  return readConfig(source, {
    host,
    dataDir,
    natsUrl,
    namespace,
    logLevel,
    portOffset: env.integer('ANDON_PORT_OFFSET', 'Added to every port', 0),
    plantDir: env.path('STEEL_PLANT_DIR', 'Folder of the plant files and recordings', fileURLToPath(new URL('..', import.meta.url))),
    seed: env.integer('STEEL_PLANT_SEED', 'Seed of the simulated press', 1),
    tokenFile: env.path('STEEL_PLANT_TOKEN_FILE', 'File with the bearer token the sources show to ingest', '.andon/tokens/integrator'),
    ingestUrl: env.url('STEEL_PLANT_INGEST_URL', 'HTTP door of ingest', shiftedUrl('http', 7071)),
    mqttUrl: env.url('STEEL_PLANT_MQTT_URL', 'MQTT door of ingest', shiftedUrl('mqtt', 1883)),
    webhookSecret: env.secret('ACTIONS_WEBHOOK_SECRET', 'Secret the webhook sink verifies with, whsec_…'),
    nabSpeed: speed(env.number('STEEL_PLANT_NAB_SPEED', 'Recorded seconds per second, machine temperature', 3600)),
    nabFrom: env.string('STEEL_PLANT_NAB_FROM', 'Recorded time at which the machine temperature starts, UTC', '2013-12-14T01:50:00'),
    energySpeed: speed(env.number('STEEL_PLANT_ENERGY_SPEED', 'Recorded seconds per second, works power', 14_400)),
    energyFrom: env.string('STEEL_PLANT_ENERGY_FROM', 'Recorded time at which the works power starts, UTC', '2018-01-08T00:15:00'),
    cameras: env.boolean('STEEL_PLANT_CAMERAS', 'Run the simulated cameras', true),
    adminPort: env.port('STEEL_PLANT_ADMIN_PORT', 'Health and metrics', shiftedPort(7096)),
    controlPort: env.port('STEEL_PLANT_CONTROL_PORT', 'Injections, state and the ledger of the line', shiftedPort(7090)),
    sinkPort: env.port('STEEL_PLANT_SINK_PORT', 'Webhook and job sink', shiftedPort(7091)),
    smtpPort: env.port('STEEL_PLANT_SMTP_PORT', 'Mail sink', shiftedPort(7092)),
    cameraPort: env.port('STEEL_PLANT_CAMERA_PORT', 'Camera streams', shiftedPort(7095)),
    linePort: env.port('STEEL_PLANT_LINE_PORT', 'OPC UA line simulator', shiftedPort(4840)),
  })
}

export type SteelPlantConfig = ReturnType<typeof loadConfig>
