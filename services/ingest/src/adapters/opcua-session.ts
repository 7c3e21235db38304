// One connection to one OPC UA server, from the handshake to its end: signed and encrypted, no reconnecting of its own, every wait bounded.

import type {
  ClientSession,
  CreateMonitoredItemsRequestOptions,
  CreateMonitoredItemsResponse,
  CreateSubscriptionRequestOptions,
  CreateSubscriptionResponse,
  NotificationMessage,
  OPCUAClient,
  PublishRequest,
  PublishResponse,
  RepublishRequest,
  RepublishResponse,
  TransferSubscriptionsRequestOptions,
  TransferSubscriptionsResponse,
} from 'node-opcua-client'
import { AndonError, messageOf } from '@andon/kit'
import type { Logger } from '@andon/kit'
import type { Pki } from './opcua-pki.ts'
import type { OpcuaFile } from './opcua-link.ts'

const requestMs = 10_000
/** Server_ServerStatus_State, which every server has. */
const serverState = 'i=2259'

/** The services of node-opcua's session that its public type leaves out. Its own subscriptions acknowledge on receipt, before anything is safe. */
export interface OpcuaSession extends ClientSession {
  createSubscription(request: CreateSubscriptionRequestOptions): Promise<CreateSubscriptionResponse>
  createMonitoredItems(request: CreateMonitoredItemsRequestOptions): Promise<CreateMonitoredItemsResponse>
  transferSubscriptions(request: TransferSubscriptionsRequestOptions): Promise<TransferSubscriptionsResponse>
  publish(request: PublishRequest, done: (error: Error | null, response?: PublishResponse) => void): void
  republish(request: RepublishRequest, done: (error: Error | null, response?: RepublishResponse) => void): void
}

export interface Connection {
  readonly session: OpcuaSession
  /** Rejects once the connection is gone. */
  readonly lost: Promise<never>
  readonly publish: (acknowledge: readonly Acknowledgement[], withinMs: number) => Promise<PublishResponse>
  /** Undefined: the server does not have it any more. */
  readonly republish: (subscriptionId: number, sequenceNumber: number) => Promise<NotificationMessage | undefined>
  /**
   * What the server answers; undefined when it refuses, or answers others but not this. Rejects when the connection is what failed:
   * then nothing is known, and it has to be asked again on the next one.
   */
  readonly unlessRefused: <T>(asked: Promise<T>) => Promise<T | undefined>
  /** Resolves when the server answers on this connection, rejects when it does not. */
  readonly probe: () => Promise<void>
  /** `keep`: the server keeps our subscriptions for the next connection. */
  readonly close: (keep: boolean) => Promise<void>
}

export interface Acknowledgement {
  readonly subscriptionId: number
  readonly sequenceNumber: number
}

let isQuiet = false

/** node-opcua writes to the console; its words go to the log of the service instead, below what is written by default. */
export const loadOpcua = async (logger: Logger): Promise<typeof import('node-opcua-client')> => {
  const opcua = await import('node-opcua-client')
  if (!isQuiet) {
    isQuiet = true
    const tell = (...words: unknown[]) => logger.debug({ opcua: words.map(String).join(' ') }, 'node-opcua')
    opcua.setWarningLogger(tell)
    opcua.setErrorLogger(tell)
  }
  return opcua
}

/** Connects and opens a session. Rejects with an AndonError that says what to do. */
export const connectOpcua = async (file: OpcuaFile, pki: Pki, password: string | undefined, logger: Logger): Promise<Connection> => {
  const opcua = await loadOpcua(logger)
  const { MessageSecurityMode, OPCUAClient, SecurityPolicy, UserTokenType } = opcua
  const common = {
    applicationName: 'Andon ingest',
    applicationUri: pki.applicationUri,
    certificateFile: pki.certificateFile,
    privateKeyFile: pki.privateKeyFile,
    clientCertificateManager: pki.manager,
    connectionStrategy: { maxRetry: 0, initialDelay: 100, maxDelay: 100 },
    endpointMustExist: false,
    transportTimeout: requestMs,
    defaultTransactionTimeout: requestMs,
  }
  const found = await withClient(OPCUAClient.create(common), file.endpoint, (client) => client.getEndpoints())
  const wanted = found.find(
    ({ securityMode, securityPolicyUri }) =>
      securityMode === MessageSecurityMode.SignAndEncrypt && securityPolicyUri === SecurityPolicy[file.securityPolicy],
  )
  if (wanted === undefined) {
    const offered = found.map(
      ({ securityMode, securityPolicyUri }) => `${MessageSecurityMode[securityMode]} ${securityPolicyUri?.split('#').at(-1) ?? ''}`,
    )
    throw new AndonError(
      'ANDON_INGEST_OPCUA_INSECURE',
      `${file.endpoint} does not offer SignAndEncrypt with ${file.securityPolicy}, only ${offered.join(', ') || 'nothing'}. Switch it on in the server, or name a policy it has as securityPolicy in sources/${file.id}`,
      { retriable: true },
    )
  }
  await pki.check(wanted.serverCertificate, file.endpoint)

  const client = OPCUAClient.create({
    ...common,
    securityMode: MessageSecurityMode.SignAndEncrypt,
    securityPolicy: SecurityPolicy[file.securityPolicy],
    serverCertificate: wanted.serverCertificate,
    requestedSessionTimeout: 60_000,
    keepSessionAlive: false, // publish requests do
  })
  let fail: (error: Error) => void = () => undefined
  const lost = new Promise<never>((_, reject) => (fail = reject))
  lost.catch(() => undefined) // watched by those who wait for something else
  for (const event of ['close', 'connection_lost', 'abort'] as const)
    client.on(event, () => fail(unreachable(file, 'the connection was lost')))
  try {
    await within(client.connect(file.endpoint), 'connect')
    const session = await within(
      client.createSession(
        file.user === undefined
          ? { type: UserTokenType.Anonymous }
          : { type: UserTokenType.UserName, userName: file.user.name, password: password ?? '' },
      ),
      'open a session',
    )
    session.on('session_closed', () => fail(unreachable(file, 'the server closed the session')))
    return connectionOf(opcua, client, session as OpcuaSession, lost)
  } catch (error) {
    await ended(client)
    throw explained(error, file)
  }
}

const connectionOf = (
  { AttributeIds, PublishRequest, RepublishRequest }: typeof import('node-opcua-client'),
  client: OPCUAClient,
  session: OpcuaSession,
  lost: Promise<never>,
): Connection => {
  const own = bounded(session, lost)
  const probe = async (): Promise<void> => void (await own.read({ nodeId: serverState, attributeId: AttributeIds.Value }))
  const unlessRefused = async <T>(asked: Promise<T>): Promise<T | undefined> => {
    try {
      return await asked
    } catch {
      await probe()
      return undefined
    }
  }
  return {
    session: own,
    lost,
    probe,
    unlessRefused,
    publish: (acknowledge, withinMs) =>
      answerOf((done) => {
        const subscriptionAcknowledgements = acknowledge.map((each) => ({ ...each }))
        session.publish(new PublishRequest({ requestHeader: { timeoutHint: withinMs }, subscriptionAcknowledgements }), done)
      }),
    republish: async (subscriptionId, retransmitSequenceNumber) => {
      const request = new RepublishRequest({ subscriptionId, retransmitSequenceNumber })
      const asked = answerOf<RepublishResponse>((done) => session.republish(request, done))
      const answer = await unlessRefused(Promise.race([within(asked, 'ask again for a notification'), lost]))
      const message = answer?.notificationMessage
      return message?.sequenceNumber === retransmitSequenceNumber ? message : undefined // asyncua answers an empty one
    },
    close: async (keep) => {
      await within(session.close(!keep), 'close the session').catch(() => undefined) // it may be gone already
      await ended(client)
    },
  }
}

/** A session whose requests end with its connection: node-opcua leaves some that were under way without an answer for ever. */
const bounded = (session: OpcuaSession, lost: Promise<never>): OpcuaSession =>
  new Proxy(session, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      return (...args: unknown[]): unknown => {
        const answer: unknown = Reflect.apply(value, target, args)
        return answer instanceof Promise ? Promise.race([within(answer, String(name)), lost]) : answer
      }
    },
  })

const answerOf = <T>(ask: (done: (error: Error | null, response?: T) => void) => void): Promise<T> =>
  new Promise((resolve, reject) => {
    ask((error, response) => (response === undefined ? reject(error ?? new Error('no answer')) : resolve(response)))
  })

const withClient = async <T>(client: OPCUAClient, endpoint: string, ask: (client: OPCUAClient) => Promise<T>): Promise<T> => {
  try {
    await within(client.connect(endpoint), 'connect')
    return await within(ask(client), 'list the endpoints')
  } catch (error) {
    throw unreachable({ endpoint }, reasonOf(error), error)
  } finally {
    await ended(client)
  }
}

const ended = (client: OPCUAClient): Promise<void> => within(client.disconnect(), 'disconnect').catch(() => undefined) // the socket is gone then

const within = async <T>(work: Promise<T>, what: string): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`could not ${what} within ${requestMs / 1000} s`)), requestMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

export const unreachable = (file: { endpoint: string }, why: string, cause?: unknown): AndonError =>
  new AndonError('ANDON_INGEST_OPCUA_UNREACHABLE', `${file.endpoint}: ${why}. Is the server up and reachable from here?`, {
    retriable: true,
    cause,
  })

const explained = (error: unknown, file: OpcuaFile): AndonError => {
  const text = messageOf(error)
  if (/BadUserAccessDenied|BadIdentityToken/.test(text))
    return new AndonError(
      'ANDON_INGEST_OPCUA_USER',
      `${file.endpoint} refused ${file.user === undefined ? 'an anonymous session' : `user ${file.user.name}`} (${text}). Correct user in sources/${file.id}, and the variable that holds the password`,
      { retriable: true, cause: error },
    )
  if (/BadSecurityChecksFailed|BadCertificate/.test(text))
    return new AndonError(
      'ANDON_INGEST_OPCUA_NOT_TRUSTED',
      `${file.endpoint} does not trust our certificate (${text}). Approve it at the server: move it from the server's rejected certificates to its trusted ones`,
      { retriable: true, cause: error },
    )
  return unreachable(file, reasonOf(error), error)
}

/** The cause within node-opcua's own paragraph about it. */
const reasonOf = (error: unknown): string => /Err = \((.*)\)/.exec(messageOf(error))?.[1] ?? messageOf(error)
