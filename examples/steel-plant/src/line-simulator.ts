// The press line's controller behind OPC UA: object PressLine on opc.tcp://127.0.0.1:<port>/andon/line, as a PLC would show it.
// Answers what line.ts decides; holds no rule of its own. Importable by tests.

import { mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import {
  DataType,
  OPCUACertificateManager,
  OPCUAServer,
  SecurityPolicy,
  MessageSecurityMode,
  StatusCodes,
  Variant,
  type CallMethodResultOptions,
  type ISessionContext,
  type UAVariable,
} from 'node-opcua'
import { listen } from '@andon/kit'
import { obey, shown } from './line-door.ts'
import { createLine, type Line, type LineAnswer, type LineEffect, type LineVerb } from './line.ts'

export interface LineSimulatorOptions {
  readonly port: number
  /** Folder for the server's own certificate; kept, because making one takes seconds. */
  readonly pkiDir: string
  /** How long the press needs to come to rest. Default 2000 ms. */
  readonly stopMs?: number
  /** The line behind this door, when it has others as well. */
  readonly line?: Line
  /** Milliseconds UTC. Default: the wall clock. */
  readonly now?: () => number
}

export interface LineSimulator {
  readonly endpoint: string
  readonly line: Line
  /** Physical effects with their request ids, oldest first. */
  ledger(): readonly LineEffect[]
  /** Every request and its answer, oldest first. */
  answers(): readonly LineAnswer[]
  refuse(on: boolean): void
  reset(): void
  stop(): Promise<void>
}

const text = (value: string) => new Variant({ dataType: DataType.String, value })
const flag = (value: boolean) => new Variant({ dataType: DataType.Boolean, value })
const argument = (name: string, dataType: DataType) => ({ name, dataType })
const asText = (value: unknown) => (typeof value === 'string' ? value : '')
const good = (...outputArguments: Variant[]): CallMethodResultOptions => ({ statusCode: StatusCodes.Good, outputArguments })

/** Listens on loopback only. Resolves when clients can connect. */
export const startLineSimulator = async ({
  port,
  pkiDir,
  stopMs = 2000,
  line = createLine(stopMs),
  now = Date.now,
}: LineSimulatorOptions): Promise<LineSimulator> => {
  // node-opcua's own words for a taken port name neither setting nor cure, so the port is tried first.
  const probe = createServer()
  await listen(probe, { host: '127.0.0.1', port, setting: 'STEEL_PLANT_LINE_PORT' })
  await new Promise<void>((resolve) => probe.close(() => resolve()))
  mkdirSync(pkiDir, { recursive: true })
  const certificates = new OPCUACertificateManager({ rootFolder: join(pkiDir, 'pki'), automaticallyAcceptUnknownCertificate: true })
  const users = new OPCUACertificateManager({ rootFolder: join(pkiDir, 'users'), automaticallyAcceptUnknownCertificate: true })
  const server = new OPCUAServer({
    port,
    // `hostname` only names the endpoint; `host` is what is bound.
    host: '127.0.0.1',
    hostname: '127.0.0.1',
    resourcePath: '/andon/line',
    buildInfo: { productName: 'Press line controller (simulated)' },
    serverCertificateManager: certificates,
    userCertificateManager: users,
    securityPolicies: [SecurityPolicy.None, SecurityPolicy.Basic256Sha256],
    securityModes: [MessageSecurityMode.None, MessageSecurityMode.SignAndEncrypt],
    disableDiscovery: true,
  })
  await server.initialize()

  const space = server.engine.addressSpace!
  const own = space.getOwnNamespace()
  const press = own.addObject({ browseName: 'PressLine', nodeId: 's=PressLine', organizedBy: space.rootFolder.objects })
  const variable = (name: string, dataType: DataType, read: () => Variant): UAVariable =>
    own.addVariable({
      componentOf: press,
      browseName: name,
      nodeId: `s=PressLine.${name}`,
      dataType,
      minimumSamplingInterval: 100,
      value: { get: read },
    })
  const values = () => shown(line, now())
  const number = (dataType: DataType, value: number) => new Variant({ dataType, value })
  variable('State', DataType.String, () => text(values().state))
  variable('Mode', DataType.String, () => text(values().mode))
  variable('EmergencyStop', DataType.Boolean, () => flag(values().emergencyStop))
  variable('InterlocksClosed', DataType.Boolean, () => flag(values().interlocksClosed))
  variable('LocalResetDone', DataType.Boolean, () => flag(values().localResetDone))
  variable('SpeedPercent', DataType.Double, () => number(DataType.Double, values().speedPercent))
  variable('Heartbeat', DataType.UInt32, () => number(DataType.UInt32, values().heartbeat))
  variable('DoneRequestId', DataType.String, () => text(values().doneRequestId))
  variable('TargetTimeMs', DataType.Double, () => number(DataType.Double, values().targetTimeMs))

  const unanswered = new Set<() => void>()
  const method = (
    name: string,
    inputs: ReturnType<typeof argument>[],
    outputs: ReturnType<typeof argument>[],
    call: (values: unknown[]) => Variant[] | Promise<Variant[] | undefined>,
  ) => {
    const node = own.addMethod(press, { browseName: name, nodeId: `s=PressLine.${name}`, inputArguments: inputs, outputArguments: outputs })
    node.bindMethod(
      (given: Variant[], _context: ISessionContext, reply: (error: Error | null, result: CallMethodResultOptions) => void) => {
        line.advance(now())
        void Promise.resolve(call(given.map((v) => v.value as unknown))).then((outputArguments) => {
          if (outputArguments) reply(null, good(...outputArguments))
          // Nobody hears of it; node-opcua wants every call to end before it shuts down.
          else unanswered.add(() => reply(null, { statusCode: StatusCodes.BadTimeout }))
        })
      },
    )
  }
  const requestInputs = [argument('requestId', DataType.String), argument('notAfterMs', DataType.Double)]
  const answerOutputs = [argument('accepted', DataType.Boolean), argument('code', DataType.String)]
  const command = (name: string, verb: LineVerb, more: ReturnType<typeof argument>[]) =>
    method(name, [...requestInputs, ...more], answerOutputs, async ([id, notAfterMs, value]) => {
      const speed = verb === 'slow-down' ? { speedPercent: Number(value) } : {}
      const answer = await obey(line, { verb, requestId: asText(id), notAfterMs: Number(notAfterMs), ...speed }, now)
      return answer && [flag(answer.accepted), text(answer.code)]
    })
  command('RequestPause', 'pause', [argument('reviewMinutes', DataType.UInt32)])
  command('RequestResume', 'resume', [])
  command('RequestSpeed', 'slow-down', [argument('speedPercent', DataType.Double)])
  method('BurnRequest', [argument('requestId', DataType.String)], [argument('done', DataType.Boolean)], ([id]) => [
    flag(line.burn(asText(id), now())),
  ])
  method('LocalReset', [], [argument('done', DataType.Boolean)], () => [flag(line.localReset())])

  await server.start()
  const timer = setInterval(() => line.advance(now()), 50)
  return {
    endpoint: `opc.tcp://127.0.0.1:${port}/andon/line`,
    line,
    ledger: () => line.ledger(),
    answers: () => line.answers(),
    refuse: (on) => line.refuse(on),
    reset: () => line.reset(),
    async stop() {
      clearInterval(timer)
      for (const end of unanswered) end()
      await server.shutdown(100)
      await certificates.dispose()
      await users.dispose()
    },
  }
}
