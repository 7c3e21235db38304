// The line as a Sparkplug B device. A DCMD has QoS 0 by its specification and no acknowledgement: only the device's own data, in
// the session in which the command was sent, says what became of it. A gap, a death or a new birth in between: nobody knows.

import mqtt from 'mqtt'
import type { MqttClient } from 'mqtt'
import sparkplug from 'sparkplug-payload/lib/sparkplugbpayload.js'
import type { Logger } from '@andon/kit'
import { NotSent, within } from './executor.ts'
import type { Executor } from './executor.ts'
import { controlSystemFor } from './control-systems.ts'
import type { ControlSystemOf, SystemOf } from './control-systems.ts'
import { lineExecutor } from './line-control.ts'
import type { LineAsk, LineLink, LineReading } from './line-control.ts'

const CONNECT_TIMEOUT_MS = 2_000

type Payload = ReturnType<typeof sparkplug.decodePayload>
type Sent = Parameters<typeof sparkplug.encodePayload>[0]

export interface SparkplugLineOptions {
  readonly controlSystemOf: ControlSystemOf
  readonly logger: Logger
}

export const sparkplugLineExecutor = ({ controlSystemOf, logger }: SparkplugLineOptions): Executor => {
  const devices = new Map<string, Device>()
  return lineExecutor(
    (order) => {
      const system = controlSystemFor('sparkplug', order, controlSystemOf)
      const key = `${system.broker} ${system.group}/${system.node}/${system.device}`
      let device = devices.get(key)
      if (!device) {
        device = new Device(system, logger)
        devices.set(key, device)
      }
      return device
    },
    async () => {
      await Promise.all([...devices.values()].map((device) => device.close()))
    },
  )
}

/** 64-bit numbers come as objects. */
const numberOf = (value: unknown): number =>
  Number(typeof value === 'object' && value !== null ? (value as { toNumber(): number }).toNumber() : value)

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** One device as its edge node tells of it. */
class Device implements LineLink {
  private readonly system: SystemOf<'sparkplug'>
  private readonly logger: Logger
  private connecting: Promise<MqttClient> | undefined
  /** Values of the session that goes on; undefined until the device's birth, and after a gap or a death. */
  private values: Map<string, unknown> | undefined
  private bdSeq = ''
  private seq = -1
  private readonly waiting = new Set<() => void>()

  constructor(system: SystemOf<'sparkplug'>, logger: Logger) {
    this.system = system
    this.logger = logger
  }

  async read(signal: AbortSignal): Promise<LineReading> {
    const client = await within(signal, this.client())
    if (this.values === undefined) await this.reborn(client, signal)
    const values = this.values as ReadonlyMap<string, unknown>
    const flag = (name: string): boolean | undefined => (values.has(name) ? values.get(name) === true : undefined)
    return {
      state: textOf(values.get('state')),
      mode: textOf(values.get('mode')),
      // What the device does not show is taken as active.
      emergencyStop: values.get('emergencyStop') !== false,
      heartbeat: numberOf(values.get('heartbeat')),
      doneRequestId: textOf(values.get('doneRequestId')),
      speedPercent: values.has('speedPercent') ? numberOf(values.get('speedPercent')) : undefined,
      interlocksClosed: flag('interlocksClosed'),
      localResetDone: flag('localResetDone'),
      answered: {
        requestId: textOf(values.get('answeredRequestId')),
        accepted: values.get('answerCode') === 'OK',
        code: textOf(values.get('answerCode')),
      },
      session: this.bdSeq,
    }
  }

  async ask({ verb, requestId, notAfterMs, params }: LineAsk, signal: AbortSignal): Promise<undefined> {
    const client = await within(signal, this.client())
    // A client without a connection keeps what it is given and sends it whenever it can.
    if (!client.connected) throw new NotSent(`The connection to ${this.system.broker} was lost`, { isFault: true })
    const speed = params['speedPercent']
    this.publish(client, [
      metric('requestId', requestId),
      metric('verb', verb),
      metric('notAfterMs', notAfterMs),
      ...(typeof speed === 'number' ? [metric('speedPercent', speed)] : []),
    ])
    return undefined
  }

  async burn(requestId: string, signal: AbortSignal): Promise<boolean> {
    const client = await within(signal, this.client())
    if (this.values === undefined) await this.reborn(client, signal)
    this.publish(client, [metric('burnRequestId', requestId)])
    while (this.values?.get('burnedRequestId') !== requestId) await this.change(signal)
    return this.values.get('burnedDone') === true
  }

  private publish(client: MqttClient, metrics: ReturnType<typeof metric>[]): void {
    const { group, node, device } = this.system
    client.publish(`spBv1.0/${group}/DCMD/${node}/${device}`, encode(metrics), { qos: 0, retain: false })
  }

  /** Asks for the births until they come: a client that has just come knows no values. */
  private async reborn(client: MqttClient, signal: AbortSignal): Promise<void> {
    const { group, node } = this.system
    client.publish(`spBv1.0/${group}/NCMD/${node}`, encode([metric('Node Control/Rebirth', true)]), { qos: 0, retain: false })
    while (this.values === undefined) await this.change(signal)
  }

  private async change(signal: AbortSignal): Promise<void> {
    const changed = Promise.withResolvers<void>()
    this.waiting.add(changed.resolve)
    try {
      await within(signal, changed.promise)
    } finally {
      this.waiting.delete(changed.resolve)
    }
  }

  private take(topic: string, bytes: Buffer): void {
    const type = topic.split('/')[2]
    if (type === undefined || !TOLD.has(type)) return
    let payload: Payload
    try {
      payload = sparkplug.decodePayload(bytes)
    } catch (error) {
      this.logger.warn({ err: error, topic }, 'a Sparkplug payload cannot be read')
      return
    }
    const values = (payload.metrics ?? []).map((one) => [one.name ?? '', one.value] as const)
    const seq = payload.seq === undefined || payload.seq === null ? -1 : numberOf(payload.seq)
    if (type === 'NDEATH' || type === 'DDEATH') this.values = undefined
    else if (type === 'NBIRTH') {
      this.values = undefined
      this.bdSeq = String(numberOf(new Map(values).get('bdSeq')))
    } else if (seq !== (this.seq + 1) % 256) this.values = undefined
    else if (type === 'DBIRTH' && isOf(topic, this.system.device)) this.values = new Map(values)
    else if (type === 'DDATA' && isOf(topic, this.system.device)) for (const [name, value] of values) this.values?.set(name, value)
    if (type !== 'NDEATH') this.seq = seq
    for (const resolve of this.waiting) resolve()
  }

  private client(): Promise<MqttClient> {
    this.connecting ??= this.connect().catch((cause: unknown) => {
      this.connecting = undefined
      throw new NotSent(`The MQTT broker at ${this.system.broker} cannot be reached`, { isFault: true, cause })
    })
    return this.connecting
  }

  private async connect(): Promise<MqttClient> {
    const { broker, group, node } = this.system
    const client = await mqtt.connectAsync(broker, { connectTimeout: CONNECT_TIMEOUT_MS, reconnectPeriod: 0, clean: true }, false)
    client.on('error', (error) => this.logger.warn({ err: error, broker }, 'connection to the MQTT broker'))
    client.on('message', (topic, bytes) => this.take(topic, bytes))
    client.on('close', () => {
      this.values = undefined
      this.connecting = undefined
      for (const resolve of this.waiting) resolve()
    })
    // Of the whole node: its messages share one sequence, and a gap in it is seen only by who hears them all.
    await client.subscribeAsync([`spBv1.0/${group}/+/${node}`, `spBv1.0/${group}/+/${node}/+`], { qos: 0 })
    return client
  }

  async close(): Promise<void> {
    const client = await this.connecting?.catch(() => undefined)
    await client?.endAsync(true)
  }
}

const TOLD: ReadonlySet<string> = new Set(['NBIRTH', 'NDATA', 'NDEATH', 'DBIRTH', 'DDATA', 'DDEATH'])

const isOf = (topic: string, device: string): boolean => topic.endsWith(`/${device}`)

const types: Readonly<Record<string, string>> = { string: 'String', boolean: 'Boolean', number: 'Double' }

const metric = (name: string, value: string | number | boolean) => ({
  name,
  value,
  type: types[typeof value] as string,
  timestamp: Date.now(),
})

const encode = (metrics: ReturnType<typeof metric>[]): Buffer =>
  Buffer.from(sparkplug.encodePayload({ timestamp: Date.now(), metrics } as Sent))
