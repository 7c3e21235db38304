// The line's control system over OPC UA: methods of the line's object ask, its variables are read back.

import { join } from 'node:path'
import { AttributeIds, DataType, makeBrowsePath, MessageSecurityMode, OPCUAClient, SecurityPolicy, StatusCodes } from 'node-opcua-client'
import type { ClientSession, Variant } from 'node-opcua-client'
import { OPCUACertificateManager } from 'node-opcua-certificate-manager'
import type { Logger } from '@andon/kit'
import { NotSent, within } from './executor.ts'
import type { Executor } from './executor.ts'
import { controlSystemFor } from './control-systems.ts'
import type { ControlSystemOf, SystemOf } from './control-systems.ts'
import { lineExecutor } from './line-control.ts'
import type { LineAsk, LineLink, LineReading, LineVerb, LineWord } from './line-control.ts'

const CONNECT_TIMEOUT_MS = 5_000

export interface OpcuaOptions {
  readonly controlSystemOf: ControlSystemOf
  readonly dataDir: string
  readonly logger: Logger
}

export const opcuaExecutor = ({ controlSystemOf, dataDir, logger }: OpcuaOptions): Executor => {
  const connections = new Map<string, Connection>()
  let certificates: OPCUACertificateManager | undefined
  return lineExecutor(
    (order) => {
      const system = controlSystemFor('opcua', order, controlSystemOf)
      const key = `${system.endpoint} ${system.object}`
      let connection = connections.get(key)
      if (!connection) {
        certificates ??= new OPCUACertificateManager({
          rootFolder: join(dataDir, 'opcua-pki'),
          automaticallyAcceptUnknownCertificate: true,
        })
        connection = new Connection(system, certificates, logger)
        connections.set(key, connection)
      }
      return connection
    },
    async () => {
      await Promise.all([...connections.values()].map((connection) => connection.close()))
      await certificates?.dispose()
    },
  )
}

interface Method {
  readonly name: string
  /** What the method takes beside request id and deadline. */
  readonly more: (params: LineAsk['params']) => { dataType: DataType; value: unknown }[]
}

const METHODS: Readonly<Record<LineVerb, Method>> = {
  pause: { name: 'RequestPause', more: ({ reviewMinutes }) => [{ dataType: DataType.UInt32, value: reviewMinutes ?? 45 }] },
  resume: { name: 'RequestResume', more: () => [] },
  'slow-down': { name: 'RequestSpeed', more: ({ speedPercent }) => [{ dataType: DataType.Double, value: speedPercent }] },
}

const NEEDED = ['State', 'Mode', 'EmergencyStop', 'Heartbeat', 'DoneRequestId'] as const
/** Not every control system shows these. */
const OPTIONAL = ['SpeedPercent', 'InterlocksClosed', 'LocalResetDone'] as const

const stringOf = (value: string) => ({ dataType: DataType.String, value })

/** One session to one control system, opened when first needed and again after a loss. */
class Connection implements LineLink {
  private readonly system: SystemOf<'opcua'>
  private readonly certificates: OPCUACertificateManager
  private readonly logger: Logger
  private session: Promise<ClientSession> | undefined
  private client: OPCUAClient | undefined
  private readonly nodeIds = new Map<string, string | null>()

  constructor(system: SystemOf<'opcua'>, certificates: OPCUACertificateManager, logger: Logger) {
    this.system = system
    this.certificates = certificates
    this.logger = logger
  }

  read(signal: AbortSignal): Promise<LineReading> {
    return within(
      signal,
      this.withSession(async (session) => {
        const nodes = await Promise.all(NEEDED.map((name) => this.nodeId(session, name)))
        const optional = await Promise.all(OPTIONAL.map((name) => this.findNodeId(session, name)))
        const present = optional.filter((nodeId) => nodeId !== null)
        const values = await session.read([...nodes, ...present].map((nodeId) => ({ nodeId, attributeId: AttributeIds.Value })))
        const bad = values.findIndex((value, n) => n < NEEDED.length && value.statusCode.isNotGood())
        if (bad >= 0) throw new Error(`${NEEDED[bad]} reads ${values[bad]?.statusCode.toString()}`)
        const [state, mode, emergencyStop, heartbeat, doneRequestId] = values.map((value) => value.value.value as unknown)
        const [speedPercent, interlocksClosed, localResetDone] = optional.map((nodeId) => {
          const value = nodeId === null ? undefined : values[NEEDED.length + present.indexOf(nodeId)]
          return value?.statusCode.isGood() ? (value.value.value as unknown) : undefined
        })
        return {
          state: String(state),
          mode: String(mode),
          emergencyStop: emergencyStop === true,
          heartbeat: Number(heartbeat),
          doneRequestId: typeof doneRequestId === 'string' ? doneRequestId : '',
          speedPercent: typeof speedPercent === 'number' ? speedPercent : undefined,
          interlocksClosed: typeof interlocksClosed === 'boolean' ? interlocksClosed : undefined,
          localResetDone: typeof localResetDone === 'boolean' ? localResetDone : undefined,
        }
      }),
    )
  }

  async ask({ verb, requestId, notAfterMs, params }: LineAsk, signal: AbortSignal): Promise<LineWord> {
    // A client that is reconnecting keeps the call and sends it whenever it has a connection again.
    if (this.client?.isReconnecting) throw new NotSent(`The connection to ${this.system.endpoint} was lost`, { isFault: true })
    const { name, more } = METHODS[verb]
    const given = [stringOf(requestId), { dataType: DataType.Double, value: notAfterMs }, ...more(params)]
    const [accepted, code] = await this.call(name, given, signal)
    return { accepted: accepted?.value === true, code: String(code?.value) }
  }

  async burn(requestId: string, signal: AbortSignal): Promise<boolean> {
    const [isDone] = await this.call('BurnRequest', [stringOf(requestId)], signal)
    return isDone?.value === true
  }

  private call(method: string, inputArguments: { dataType: DataType; value: unknown }[], signal: AbortSignal): Promise<Variant[]> {
    return within(
      signal,
      this.withSession(async (session) => {
        const objectId = await this.nodeId(session, '')
        const methodId = await this.nodeId(session, method)
        const result = await session.call({ objectId, methodId, inputArguments })
        if (result.statusCode !== StatusCodes.Good) throw new Error(`${method} answers ${result.statusCode.toString()}`)
        return result.outputArguments ?? []
      }),
    )
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
    const found = await this.findNodeId(session, name)
    if (found === null) throw new NotSent(`The control system at ${this.system.endpoint} has no ${this.pathOf(name)}`)
    return found
  }

  private async findNodeId(session: ClientSession, name: string): Promise<string | null> {
    const known = this.nodeIds.get(name)
    if (known !== undefined) return known
    const result = await session.translateBrowsePath(makeBrowsePath('ObjectsFolder', this.pathOf(name)))
    const found = result.targets?.[0]?.targetId.toString() ?? null
    this.nodeIds.set(name, found)
    return found
  }

  private pathOf(name: string): string {
    return `/1:${this.system.object}${name === '' ? '' : `.1:${name}`}`
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
