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
import { createLine, type Line, type LineAnswer, type LineEffect } from './line.ts'

export interface LineSimulatorOptions {
  readonly port: number
  /** Folder for the server's own certificate; kept, because making one takes seconds. */
  readonly pkiDir: string
  /** How long the press needs to come to rest. Default 2000 ms. */
  readonly stopMs?: number
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
export const startLineSimulator = async ({ port, pkiDir, stopMs = 2000, now = Date.now }: LineSimulatorOptions): Promise<LineSimulator> => {
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

  const line = createLine(stopMs)
  const space = server.engine.addressSpace!
  const own = space.getOwnNamespace()
  const press = own.addObject({ browseName: 'PressLine', nodeId: 's=PressLine', organizedBy: space.rootFolder.objects })
  const startedMs = now()
  const variable = (name: string, dataType: DataType, read: () => Variant): UAVariable =>
    own.addVariable({
      componentOf: press,
      browseName: name,
      nodeId: `s=PressLine.${name}`,
      dataType,
      minimumSamplingInterval: 100,
      value: { get: read },
    })
  variable('State', DataType.String, () => text(line.state))
  variable('Mode', DataType.String, () => text(line.mode))
  variable('EmergencyStop', DataType.Boolean, () => flag(line.emergencyStop))
  variable(
    'Heartbeat',
    DataType.UInt32,
    () => new Variant({ dataType: DataType.UInt32, value: Math.floor((now() - startedMs) / 1000) >>> 0 }),
  )
  variable('DoneRequestId', DataType.String, () => text(line.doneRequestId))
  variable('TargetTimeMs', DataType.Double, () => new Variant({ dataType: DataType.Double, value: now() }))

  const method = (
    name: string,
    inputs: ReturnType<typeof argument>[],
    outputs: ReturnType<typeof argument>[],
    call: (values: unknown[]) => Variant[],
  ) => {
    const node = own.addMethod(press, { browseName: name, nodeId: `s=PressLine.${name}`, inputArguments: inputs, outputArguments: outputs })
    node.bindMethod(
      (values: Variant[], _context: ISessionContext, reply: (error: Error | null, result: CallMethodResultOptions) => void) => {
        line.advance(now())
        reply(null, good(...call(values.map((v) => v.value as unknown))))
      },
    )
  }
  const requestInputs = [argument('requestId', DataType.String), argument('notAfterMs', DataType.Double)]
  const answerOutputs = [argument('accepted', DataType.Boolean), argument('code', DataType.String)]
  const answered = ({ accepted, code }: { accepted: boolean; code: string }) => [flag(accepted), text(code)]
  method('RequestPause', [...requestInputs, argument('reviewMinutes', DataType.UInt32)], answerOutputs, ([id, notAfterMs]) =>
    answered(line.requestPause(asText(id), Number(notAfterMs), now())),
  )
  method('RequestResume', requestInputs, answerOutputs, ([id, notAfterMs]) =>
    answered(line.requestResume(asText(id), Number(notAfterMs), now())),
  )
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
      await server.shutdown(100)
      await certificates.dispose()
      await users.dispose()
    },
  }
}
