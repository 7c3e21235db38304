// The line's control system over OPC UA: asks for its normal controlled stop, reads the state back, and burns request ids.
// It requests, never writes outputs: the control system keeps the final say, and a resume needs a person at the machine.

import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { AttributeIds, DataType, makeBrowsePath, MessageSecurityMode, OPCUAClient, SecurityPolicy, StatusCodes } from 'node-opcua-client'
import type { ClientSession, Variant } from 'node-opcua-client'
import { OPCUACertificateManager } from 'node-opcua-certificate-manager'
import type { Logger } from '@andon/kit'
import type { Line } from '@andon/schemas'
import { NotSent } from './executor.ts'
import type { Answer, Executor, Order, Prepared } from './executor.ts'

type ControlSystem = NonNullable<Line['controlSystem']>

const CONNECT_TIMEOUT_MS = 5_000
const POLL_MS = 100
/** The control system counts its heartbeat every second; this much silence means that nobody is at home. */
const HEARTBEAT_WITHIN_MS = 3_000

interface LineState {
  readonly state: string
  readonly mode: string
  readonly emergencyStop: boolean
  readonly heartbeat: number
  readonly doneRequestId: string
}

export interface OpcuaOptions {
  /** Control system of a control group; undefined when it has none. */
  readonly controlSystemOf: (line: string) => ControlSystem | undefined
  readonly dataDir: string
  readonly logger: Logger
}

export const opcuaExecutor = ({ controlSystemOf, dataDir, logger }: OpcuaOptions): Executor => {
  const connections = new Map<string, Connection>()
  let certificates: OPCUACertificateManager | undefined
  const connectionTo = (order: Order): Connection => {
    const system = controlSystemOf(order.command.target) ?? controlSystemOf(order.line)
    if (!system) throw new NotSent(`${order.command.target} has no control system in the plant file`)
    const key = `${system.endpoint} ${system.object}`
    let connection = connections.get(key)
    if (!connection) {
      certificates ??= new OPCUACertificateManager({ rootFolder: join(dataDir, 'opcua-pki'), automaticallyAcceptUnknownCertificate: true })
      connection = new Connection(system, certificates, logger)
      connections.set(key, connection)
    }
    return connection
  }

  return {
    async prepare(order) {
      const connection = connectionTo(order)
      const before = await notSentIfFails(connection.readState())
      await checkPreconditions(order, connection, before)
      return { send: () => requestPause(order, connection) } satisfies Prepared
    },

    async settle(order) {
      const connection = connectionTo(order)
      const [isDone] = await connection.call('BurnRequest', [stringOf(order.commandRequestId)])
      const state = await connection.readState()
      return { isDone: isDone?.value === true, readback: JSON.stringify(state) }
    },

    async close() {
      await Promise.all([...connections.values()].map((connection) => connection.close()))
      await certificates?.dispose()
    },
  }
}

const notSentIfFails = async <T>(work: Promise<T>): Promise<T> => {
  try {
    return await work
  } catch (cause) {
    if (cause instanceof NotSent) throw cause
    throw new NotSent(`The control system cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, {
      isFault: true,
      cause,
    })
  }
}

const checkPreconditions = async (order: Order, connection: Connection, before: LineState): Promise<void> => {
  const { preconditions, allowedModes } = order.definition
  if (!allowedModes.includes('any') && !allowedModes.includes(before.mode))
    throw new NotSent(`The line is in mode ${before.mode}; the command is allowed in ${allowedModes.join(', ')}`)
  for (const precondition of preconditions) {
    if (precondition === 'modeAutomatic' && before.mode !== 'automatic')
      throw new NotSent(`The line is in mode ${before.mode}, not automatic`)
    else if (precondition === 'noEmergencyStop' && before.emergencyStop) throw new NotSent('The emergency stop is active')
    else if (precondition === 'heartbeatAlive') await notSentIfFails(heartbeatMoves(connection, before.heartbeat))
    else if (!KNOWN_PRECONDITIONS.has(precondition)) throw new NotSent(`Precondition ${precondition} cannot be checked here`)
  }
}

const KNOWN_PRECONDITIONS = new Set(['modeAutomatic', 'noEmergencyStop', 'heartbeatAlive'])

const heartbeatMoves = async (connection: Connection, first: number): Promise<void> => {
  for (let waitedMs = 0; waitedMs < HEARTBEAT_WITHIN_MS; waitedMs += POLL_MS) {
    await delay(POLL_MS)
    if ((await connection.readState()).heartbeat !== first) return
  }
  throw new NotSent(`The control system's heartbeat has stood still for ${HEARTBEAT_WITHIN_MS} ms`)
}

/** The request, and the reading that shows its effect. No reading in time: nobody knows, it will be settled. */
const requestPause = async (order: Order, connection: Connection): Promise<Answer> => {
  const { reviewMinutes } = JSON.parse(order.command.params) as { reviewMinutes?: number }
  const [accepted, code] = await connection.call(METHODS[order.definition.name] ?? 'RequestPause', [
    stringOf(order.commandRequestId),
    { dataType: DataType.Double, value: order.notAfterUs / 1000 },
    { dataType: DataType.UInt32, value: reviewMinutes ?? 45 },
  ])
  if (accepted?.value !== true)
    return {
      kind: 'RejectedByTarget',
      readback: JSON.stringify({ code: code?.value }),
      title: `Refused by the control system: ${String(code?.value)}`,
    }
  const { state, withinMs } = order.definition.readBack
  const startedMs = performance.now()
  for (;;) {
    const read = await connection.readState()
    const tookMs = Math.round(performance.now() - startedMs)
    if (read.state === state && read.doneRequestId === order.commandRequestId)
      return { kind: 'Executed', readback: JSON.stringify({ ...read, tookMs }), title: `Read back: ${state} after ${tookMs} ms` }
    if (tookMs > withinMs) throw new Error(`The line accepted the request and is ${read.state}, not ${state}, after ${tookMs} ms`)
    await delay(POLL_MS)
  }
}

/** Catalogue command → method of the line's object. */
const METHODS: Readonly<Record<string, string>> = { 'line.pause': 'RequestPause' }

const stringOf = (value: string) => ({ dataType: DataType.String, value })

/** One session to one control system, opened when first needed and again after a loss. */
class Connection {
  private readonly system: ControlSystem
  private readonly certificates: OPCUACertificateManager
  private readonly logger: Logger
  private session: Promise<ClientSession> | undefined
  private client: OPCUAClient | undefined
  private readonly nodeIds = new Map<string, string>()

  constructor(system: ControlSystem, certificates: OPCUACertificateManager, logger: Logger) {
    this.system = system
    this.certificates = certificates
    this.logger = logger
  }

  async readState(): Promise<LineState> {
    return this.withSession(async (session) => {
      const names = ['State', 'Mode', 'EmergencyStop', 'Heartbeat', 'DoneRequestId']
      const nodes = await Promise.all(names.map((name) => this.nodeId(session, name)))
      const values = await session.read(nodes.map((nodeId) => ({ nodeId, attributeId: AttributeIds.Value })))
      const bad = values.findIndex((value) => value.statusCode.isNotGood())
      if (bad >= 0) throw new Error(`${names[bad]} reads ${values[bad]?.statusCode.toString()}`)
      const [state, mode, emergencyStop, heartbeat, doneRequestId] = values.map((value) => value.value.value as unknown)
      return {
        state: String(state),
        mode: String(mode),
        emergencyStop: emergencyStop === true,
        heartbeat: Number(heartbeat),
        doneRequestId: typeof doneRequestId === 'string' ? doneRequestId : '',
      }
    })
  }

  async call(method: string, inputArguments: { dataType: DataType; value: unknown }[]): Promise<Variant[]> {
    return this.withSession(async (session) => {
      const objectId = await this.nodeId(session, '')
      const methodId = await this.nodeId(session, method)
      const result = await session.call({ objectId, methodId, inputArguments })
      if (result.statusCode !== StatusCodes.Good) throw new Error(`${method} answers ${result.statusCode.toString()}`)
      return result.outputArguments ?? []
    })
  }

  private async withSession<T>(work: (session: ClientSession) => Promise<T>): Promise<T> {
    this.session ??= this.open()
    const opening = this.session
    try {
      return await work(await opening)
    } catch (error) {
      // the next call opens a fresh session; nothing is sent again here
      if (this.session === opening) await this.drop()
      throw error
    }
  }

  private async open(): Promise<ClientSession> {
    const client = OPCUAClient.create({
      applicationName: 'andon-actions',
      clientCertificateManager: this.certificates,
      connectionStrategy: { initialDelay: 200, maxDelay: 500, maxRetry: 1 },
      endpointMustExist: false,
      keepSessionAlive: true,
      requestedSessionTimeout: 60_000,
      securityMode: MessageSecurityMode.None,
      securityPolicy: SecurityPolicy.None,
      transportTimeout: CONNECT_TIMEOUT_MS,
    })
    this.client = client
    await client.connect(this.system.endpoint)
    const session = await client.createSession()
    this.logger.info({ endpoint: this.system.endpoint }, 'connected to the control system')
    return session
  }

  /** Node id below the line's object; the empty name is the object itself. */
  private async nodeId(session: ClientSession, name: string): Promise<string> {
    const known = this.nodeIds.get(name)
    if (known !== undefined) return known
    const path = `/1:${this.system.object}${name === '' ? '' : `.1:${name}`}`
    const result = await session.translateBrowsePath(makeBrowsePath('ObjectsFolder', path))
    const found = result.targets?.[0]?.targetId.toString()
    if (found === undefined) throw new NotSent(`The control system at ${this.system.endpoint} has no ${path}`)
    this.nodeIds.set(name, found)
    return found
  }

  private async drop(): Promise<void> {
    const { client } = this
    this.session = undefined
    this.client = undefined
    this.nodeIds.clear()
    await client?.disconnect().catch(() => undefined) // it was lost already
  }

  async close(): Promise<void> {
    const session = await this.session?.catch(() => undefined)
    await session?.close().catch(() => undefined) // the server forgets it by its own timeout
    await this.drop()
  }
}
