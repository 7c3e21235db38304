// Commands to a line over OPC UA, NATS and Sparkplug B, against the line simulator behind each door: what counts as done, refused,
// not sent and unknown is the same everywhere, and the line's ledger is the witness.

import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { Aedes } from 'aedes'
import { createLogger } from '@andon/kit'
import { freePorts, startNats } from '@andon/platform'
import { parseCommands } from '@andon/schemas'
import { createLine, startLineNats, startLineSimulator, startLineSparkplug } from '@andon/steel-plant'
import type { Line } from '@andon/steel-plant'
import type { ControlSystem } from '../src/adapters/control-systems.ts'
import { NotSent } from '../src/adapters/executor.ts'
import type { Executor, Order } from '../src/adapters/executor.ts'
import { natsLineExecutor } from '../src/adapters/nats-line.ts'
import { opcuaExecutor } from '../src/adapters/opcua.ts'
import { sparkplugLineExecutor } from '../src/adapters/sparkplug-line.ts'
import { plantDocuments, tempDir } from './rig.ts'

const logger = createLogger({ service: 'actions', level: 'silent' })
const catalogue = parseCommands(JSON.parse(plantDocuments().find((one) => one.name === 'commands')?.body ?? ''))
let ids = 0

const orderOf = (name: string, params: Record<string, unknown> = {}, notAfterMs = Date.now() + 20_000): Order => {
  const definition = catalogue.commands.find((one) => one.name === name)
  assert.ok(definition)
  return {
    commandRequestId: `request-${++ids}`,
    command: { command: name, target: 'press-line', params: JSON.stringify(params), effect: 'motion', riskClass: 'high', commandHash: 'h' },
    definition: {
      ...definition,
      preconditions: definition.preconditions.filter((one) => one !== 'heartbeatAlive'),
      readBack: { ...definition.readBack, withinMs: 1_000 },
    },
    line: 'press-line',
    incidentId: 'i-1',
    stepId: 's-1',
    assetId: 'press-1',
    title: 'Vibration',
    severity: 2,
    notAfterUs: notAfterMs * 1000,
  }
}

interface Door {
  readonly line: Line
  readonly executor: Executor
  /** The line's side goes away. */
  leave(): Promise<unknown>
  stop(): Promise<unknown>
}

const doors: Readonly<Record<string, () => Promise<Door>>> = {
  async nats() {
    const line = createLine(100)
    const server = await startNats()
    const edge = await startLineNats({ url: server.url, subject: 'edge.press-line', line })
    const system: ControlSystem = { kind: 'nats', subject: 'edge.press-line', simulated: true }
    const executor = natsLineExecutor({ url: server.url, namespace: '', controlSystemOf: () => system, logger })
    const leave = () => edge.stop()
    return { line, executor, leave, stop: () => executor.close().then(() => server.stop()) }
  },

  async sparkplug() {
    const line = createLine(100)
    const broker = await Aedes.createBroker()
    const server = createServer(broker.handle)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`
    const place = { group: 'nordhafen', node: 'edge-1', device: 'press-line' }
    const edge = await startLineSparkplug({ url, ...place, line })
    const system: ControlSystem = { kind: 'sparkplug', broker: url, ...place, simulated: true }
    const executor = sparkplugLineExecutor({ controlSystemOf: () => system, logger })
    const stop = async () => {
      await executor.close()
      await new Promise<void>((resolve) => broker.close(() => server.close(() => resolve())))
    }
    return { line, executor, leave: () => edge.stop(), stop }
  },

  async opcua() {
    const [port = 0] = await freePorts(1)
    const dir = tempDir({ after })
    const simulator = await startLineSimulator({ port, pkiDir: join(dir, 'line'), stopMs: 100 })
    const system: ControlSystem = { kind: 'opcua', endpoint: simulator.endpoint, object: 'PressLine', simulated: true }
    const executor = opcuaExecutor({ controlSystemOf: () => system, dataDir: dir, logger })
    return { line: simulator.line, executor, leave: () => simulator.stop(), stop: () => executor.close() }
  },
}

const patient = () => AbortSignal.timeout(10_000)
/** Values that are told by exception arrive when they arrive. */
const send = async ({ executor }: Door, order: Order) => (await retried(() => executor.prepare(order, patient()))).send(patient())
const isUnknown = (error: unknown): boolean => !(error instanceof NotSent)

for (const [name, open] of Object.entries(doors))
  describe(`a line over ${name}`, async () => {
    const door = await open()
    after(() => door.stop())
    const { line, executor } = door
    const effects = () => line.ledger().map(({ effect }) => effect)

    test('a pause is read back, is latched, and ends only by a local reset and a resume', async () => {
      const paused = await send(door, orderOf('line.pause', { reviewMinutes: 30 }))
      assert.equal(paused.kind, 'Executed')
      assert.equal(line.state, 'paused')
      await assert.rejects(executor.prepare(orderOf('line.resume'), patient()), /local reset/)
      line.localReset()
      const resumed = await send(door, orderOf('line.resume'))
      assert.equal(resumed.kind, 'Executed')
      assert.deepEqual(effects(), ['pause', 'resume'])
    })

    test('a slow-down is done when the speed is read back, not when it is accepted', async () => {
      const answer = await send(door, orderOf('line.slow-down', { speedPercent: 55 }))
      assert.equal(answer.kind, 'Executed')
      assert.match(answer.title, /speedPercent 55/)
      assert.equal(line.speedPercent, 55)
    })

    test('what the line refuses at the last moment is a refusal, with its code and without an effect', async () => {
      const before = effects().length
      const prepared = await executor.prepare(orderOf('line.pause'), patient())
      line.setMode('maintenance')
      const answer = await prepared.send(patient())
      assert.deepEqual([answer.kind, answer.readback], ['RejectedByTarget', '{"code":"NOT_AUTOMATIC"}'])
      line.reset()
      assert.equal((await send(door, orderOf('line.pause', {}, Date.now() - 1))).kind, 'RejectedByTarget')
      assert.equal((await send(door, orderOf('line.slow-down', { speedPercent: 5 }))).readback, '{"code":"OUT_OF_RANGE"}')
      assert.equal(effects().length, before)
    })

    test('modes, interlocks and the emergency stop are looked at before anything is sent', async () => {
      const asked = line.answers().length
      const refused = async (why: RegExp) =>
        retried(() => assert.rejects(executor.prepare(orderOf('line.slow-down', { speedPercent: 50 }), patient()), why))
      line.setMode('manual')
      await refused(/mode manual/)
      line.setMode('automatic')
      line.setEmergencyStop(true)
      await refused(/emergency stop/)
      line.setEmergencyStop(false)
      line.setInterlocks(false)
      await refused(/interlock/)
      line.reset()
      assert.equal(line.answers().length, asked)
    })

    test('a command that nobody heard is unknown; burning settles it as not done, and its late copy is refused', async () => {
      const before = effects().length
      const order = orderOf('line.pause')
      line.misbehave({ commands: 'lost', times: 1 })
      await retriedPrepare(door, order, AbortSignal.timeout(400))
      assert.equal((await executor.settle(order, patient())).isDone, false)
      assert.equal(line.ask({ verb: 'pause', requestId: order.commandRequestId, notAfterMs: Infinity }, Date.now()).code, 'BURNED')
      assert.equal(effects().length, before)
    })

    test('a command whose answer was lost is never sent again: reading back tells that it was done', async () => {
      const before = effects().length
      const order = orderOf('line.pause')
      line.misbehave({ answers: 'lost', times: 1 })
      const answered = await retried(() => executor.prepare(order, patient()))
        .then((prepared) => prepared.send(AbortSignal.timeout(600)))
        .catch((error: unknown) => error)
      // Sparkplug has no answer that could be lost: the effect is seen
      if (name !== 'sparkplug') assert.ok(isUnknown(answered), String(answered))
      assert.equal((await executor.settle(order, patient())).isDone, true)
      assert.equal(effects().length, before + 1)
      line.reset()
    })

    test('a request id that the line knows already is unknown, not refused', async () => {
      const order = orderOf('line.slow-down', { speedPercent: 70 })
      const prepared = await retried(() => executor.prepare(order, patient()))
      line.ask({ verb: 'slow-down', requestId: order.commandRequestId, notAfterMs: Infinity, speedPercent: 70 }, Date.now())
      line.advance(0)
      const answer = await prepared.send(patient()).catch((error: unknown) => error)
      // the effect was read back before the word about the copy, or nobody knows; never "refused"
      if (answer instanceof Error) assert.match(answer.message, /knows request/)
      else assert.equal((answer as { kind: string }).kind, 'Executed')
      assert.equal((await executor.settle(order, patient())).isDone, true)
      line.reset()
    })

    test('a command that no line understands is not sent as something else', async () => {
      const order = orderOf('line.pause')
      const unknown = { ...order, definition: { ...order.definition, name: 'line.jog' } }
      await assert.rejects(executor.prepare(unknown, patient()), (error) => error instanceof NotSent && /line\.jog/.test(error.message))
    })

    test('a line that is gone is a fault before anything was sent', async () => {
      await door.leave()
      await assert.rejects(
        executor.prepare(orderOf('line.pause'), AbortSignal.timeout(3_000)),
        (error) => error instanceof NotSent && error.isFault,
      )
    })
  })

/** Tries until values told by exception have arrived. */
const retried = async <T>(work: () => Promise<T>): Promise<T> => {
  for (let tries = 0; ; tries += 1) {
    try {
      return await work()
    } catch (error) {
      if (tries === 30) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

const retriedPrepare = async ({ executor }: Door, order: Order, signal: AbortSignal): Promise<void> => {
  const prepared = await retried(() => executor.prepare(order, patient()))
  await assert.rejects(prepared.send(signal), isUnknown)
}
