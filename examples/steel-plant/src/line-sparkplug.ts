// The line as a Sparkplug B device behind an edge node: births, data by exception, commands by DCMD. The protocol knows no
// acknowledgement: what came of a command is told by the device's next data, as every other value is.

import { setTimeout as sleep } from 'node:timers/promises'
import mqtt from 'mqtt'
import sparkplug from 'sparkplug-payload/lib/sparkplugbpayload.js'
import { obey, shown } from './line-door.ts'
import type { Line, LineVerb } from './line.ts'

export interface LineSparkplugOptions {
  readonly url: string
  readonly group: string
  readonly node: string
  readonly device: string
  readonly line: Line
  /** Number of this session; a new one for every start. */
  readonly bdSeq?: number
  /** Milliseconds UTC. Default: the wall clock. */
  readonly now?: () => number
}

const TICK_MS = 50
const types: Readonly<Record<string, string>> = { string: 'String', boolean: 'Boolean', number: 'Double' }

/** Resolves when the births are out. */
export const startLineSparkplug = async ({ url, group, node, device, line, bdSeq = 0, now = Date.now }: LineSparkplugOptions) => {
  const topic = (type: string, isDevice: boolean): string => `spBv1.0/${group}/${type}/${node}${isDevice ? `/${device}` : ''}`
  const metric = (name: string, value: string | number | boolean, type = types[typeof value] as string) => ({
    name,
    value,
    type,
    timestamp: now(),
  })
  const encode = (metrics: ReturnType<typeof metric>[], seq?: number): Buffer =>
    Buffer.from(
      sparkplug.encodePayload({ timestamp: now(), metrics, ...(seq === undefined ? {} : { seq }) } as Parameters<
        typeof sparkplug.encodePayload
      >[0]),
    )
  const client = await mqtt.connectAsync(url, {
    clientId: `${group}-${node}-${bdSeq}`,
    will: { topic: topic('NDEATH', false), payload: encode([metric('bdSeq', bdSeq, 'Int64')]), qos: 1, retain: false },
  })
  let seq = 0
  let told = new Map<string, string | number | boolean>()
  const answers = { answeredRequestId: '', answerCode: '', burnedRequestId: '', burnedDone: false }
  const values = () => ({ ...shown(line, now()), ...answers })
  const publish = (type: string, isDevice: boolean, metrics: ReturnType<typeof metric>[]): void => {
    client.publish(topic(type, isDevice), encode(metrics, seq), { qos: 0, retain: false })
    seq = (seq + 1) % 256
  }
  const bear = (): void => {
    seq = 0
    told = new Map(Object.entries(values()))
    publish('NBIRTH', false, [metric('bdSeq', bdSeq, 'Int64'), metric('Node Control/Rebirth', false)])
    publish(
      'DBIRTH',
      true,
      [...told].map(([name, value]) => metric(name, value)),
    )
  }
  const tell = (): void => {
    line.advance(now())
    const changed = Object.entries(values()).filter(([name, value]) => name !== 'targetTimeMs' && told.get(name) !== value)
    if (changed.length === 0) return
    for (const [name, value] of changed) told.set(name, value)
    publish(
      'DDATA',
      true,
      changed.map(([name, value]) => metric(name, value)),
    )
  }
  const command = async (metrics: ReadonlyMap<string, unknown>): Promise<void> => {
    const burn = metrics.get('burnRequestId')
    if (typeof burn === 'string') {
      answers.burnedDone = line.burn(burn, now())
      answers.burnedRequestId = burn
      return tell()
    }
    const given = metrics.get('requestId')
    const requestId = typeof given === 'string' ? given : ''
    const speed = metrics.get('speedPercent')
    const answer = await obey(
      line,
      {
        verb: metrics.get('verb') as LineVerb,
        requestId,
        notAfterMs: Number(metrics.get('notAfterMs')),
        ...(speed === undefined ? {} : { speedPercent: Number(speed) }),
      },
      now,
    )
    // What is lost here is the word about the request; state and done id are values of the line, and values are told.
    if (answer !== undefined) Object.assign(answers, { answeredRequestId: requestId, answerCode: answer.code })
    tell()
  }
  client.on('message', (at, payload) => {
    const metrics = new Map((sparkplug.decodePayload(payload).metrics ?? []).map((one) => [one.name ?? '', one.value]))
    if (at === topic('NCMD', false) && metrics.get('Node Control/Rebirth') === true) bear()
    else if (at === topic('DCMD', true)) void command(metrics) // obey() does not reject
  })
  await client.subscribeAsync([topic('NCMD', false), topic('DCMD', true)], { qos: 1 })
  bear()
  const timer = setInterval(tell, TICK_MS)
  return {
    async stop() {
      clearInterval(timer)
      await client.publishAsync(topic('NDEATH', false), encode([metric('bdSeq', bdSeq, 'Int64')]))
      await client.endAsync()
    },
    /** The edge node falls silent without a word, as after a power loss; its broker sends the will. */
    async die() {
      clearInterval(timer)
      client.stream.destroy()
      await sleep(0)
      await client.endAsync(true)
    },
  }
}
