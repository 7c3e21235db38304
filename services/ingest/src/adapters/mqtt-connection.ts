// One connection of the MQTT door: CONNECT, publishes, acknowledgements. It speaks MQTT 3.1, 3.1.1 and 5 as far as a device that publishes
// needs it; nobody can subscribe. A publish is acknowledged only after `take` resolved, in the order of arrival; when `take` rejects, the
// connection is closed without an acknowledgement, and the device sends what was not acknowledged again.

import type { Socket } from 'node:net'
import { generate, parser as packetParser } from 'mqtt-packet'
import type { IConnectPacket, Packet } from 'mqtt-packet'
import { AndonError, messageOf } from '@andon/kit'
import type { Logger } from '@andon/kit'
import { TopicAliases, maxTopicAlias } from '../mqtt/aliases.ts'
import { Frames, MqttFault, isPublish, readPublish, reason, topicReader } from '../mqtt/frames.ts'
import type { Publish } from '../mqtt/frames.ts'
import type { Notes } from '../mqtt/messages.ts'
import { Turns, answer5, plainAnswers } from '../mqtt/turns.ts'
import type { Turn } from '../mqtt/turns.ts'
import type { Session, Sessions } from './mqtt-sessions.ts'
import type { Device } from './source.ts'

/** Who is at the other end. */
export interface Peer {
  /** Client ids of different peers never meet. */
  readonly id: string
  readonly device: Device | undefined
}

export interface MqttLimits {
  readonly maxPacketBytes: number
  /** Publishes of one connection that are not acknowledged yet. */
  readonly maxInFlight: number
  readonly maxKeepAliveS: number
  readonly connectTimeoutMs: number
}

export interface ConnectionDeps {
  readonly socket: Socket
  readonly limits: MqttLimits
  readonly sessions: Sessions
  readonly logger: Logger
  /** Who connects; throws an MqttFault that is told to the client, or another error, which closes the connection without a word. */
  admit(connect: IConnectPacket): Peer
  /** Makes messages safe. Resolves with notes for the sender; rejects with an MqttFault (final) or any other error (the device tries again). */
  take(group: { readonly topic: string; readonly payloads: readonly Buffer[]; readonly qos: number }, peer: Peer): Promise<Notes>
}

/** Publishes of one topic and QoS that follow each other in one read of the socket: taken together, and answered together. */
interface Group {
  readonly topic: string
  readonly qos: 0 | 1 | 2
  readonly payloads: Buffer[]
  readonly messageIds: number[]
  /** Undefined in QoS 0, which has no answer. */
  readonly turn: Turn | undefined
}

const connectByte = 0x10
// QoS 2 messages that a client has not released, in multiples of what it may have in flight.
const maxUnreleased = 10
const maxClientIdBytes = 256
// A client that does not read what we answer.
const maxUnreadBytes = 1 << 20

/** Return codes of a CONNACK in 3.1.1, by reason code. */
const returnCodes = new Map<number, number>([
  [reason.unsupportedVersion, 1],
  [reason.badClientId, 2],
  [reason.badCredentials, 4],
  [reason.notAuthorized, 5],
])

export class MqttConnection {
  readonly #deps: ConnectionDeps
  readonly #frames: Frames
  readonly #parser = packetParser()
  readonly #aliases = new TopicAliases()
  readonly #topicIn = topicReader()
  readonly #inHand = new Set<Promise<void>>()
  #gathered: Group | undefined
  /** Publishes that are not safe yet. */
  #inFlight = 0
  readonly #turns = new Turns((bytes) => this.#acknowledge(bytes))
  #version = 4
  #session: Session | undefined
  #isEnding = false
  #isStopping = false
  #hasBegun = false
  #keepAliveMs = 0
  #heardMs = performance.now()
  peer: Peer | undefined
  clientId = ''

  constructor(deps: ConnectionDeps) {
    this.#deps = deps
    this.#frames = new Frames(deps.limits.maxPacketBytes)
    this.#parser.on('packet', (packet: Packet) => this.#onPacket(packet))
    this.#parser.on('error', (error: Error) => {
      throw new MqttFault(/protocol version/.test(error.message) ? reason.unsupportedVersion : reason.malformed, error.message)
    })
    const { socket } = deps
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 60_000)
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('error', () => undefined) // 'close' follows
    socket.once('close', () => {
      this.#isEnding = true
      if (this.#session !== undefined) deps.sessions.left(this.#session, this)
    })
  }

  /** Called every second: a client that has gone silent, or never said who it is, is let go. */
  checkAlive(nowMs: number): void {
    const { limits } = this.#deps
    const silentMs = nowMs - this.#heardMs
    if (this.#session === undefined) {
      if (silentMs > limits.connectTimeoutMs) this.#deps.socket.destroy()
    } else if (this.#keepAliveMs > 0 && silentMs > this.#keepAliveMs && !this.#deps.socket.isPaused()) {
      this.end(reason.keepAliveTimeout, 'nothing came within one and a half times the keep-alive')
    }
  }

  /** Ends the connection now; nothing more of it is acknowledged. In MQTT 5 the client is told why. */
  end(reasonCode: number, why: string): void {
    if (this.#isEnding) return
    this.#isEnding = true
    const { socket } = this.#deps
    if (this.#version === 5 && this.#session !== undefined) {
      socket.write(generate({ cmd: 'disconnect', reasonCode, properties: { reasonString: why } }, { protocolVersion: 5 }))
    }
    socket.destroySoon()
  }

  /** Takes nothing more, acknowledges what is in hand, and ends. */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#deps.socket.pause()
    await Promise.allSettled(this.#inHand)
    await new Promise<void>((resolve) => setImmediate(resolve)) // the last acknowledgements are written first
    this.end(reason.shuttingDown, 'ingest is stopping; connect again')
  }

  #onData(chunk: Buffer): void {
    if (this.#isEnding || this.#isStopping) return
    this.#heardMs = performance.now()
    try {
      // Another protocol is told from its first byte, without waiting for what it takes for a length.
      if (!this.#hasBegun && chunk[0] !== connectByte) throw new MqttFault(reason.protocolError, 'found no CONNECT as the first packet')
      this.#hasBegun = true
      for (const frame of this.#frames.push(chunk)) {
        if (this.#session !== undefined && isPublish(frame)) this.#onPublish(readPublish(frame, this.#version, this.#topicIn))
        else {
          this.#takeGathered()
          this.#parse(frame)
        }
        if (this.#isEnding) return
      }
      this.#takeGathered()
    } catch (error) {
      this.#takeGathered() // what came before the fault is as good as ever; nobody hears of it
      this.#fail(error)
    }
  }

  #parse(frame: Buffer): void {
    try {
      this.#parser.parse(frame)
    } catch (error) {
      if (error instanceof MqttFault || error instanceof AndonError) throw error
      throw new MqttFault(reason.malformed, messageOf(error)) // the library has read beyond the packet
    }
  }

  #fail(error: unknown): void {
    if (this.#isEnding) return
    const { logger, socket } = this.#deps
    const fault = error instanceof MqttFault ? error : undefined
    const { id } = this.peer ?? {}
    logger.info({ client: this.clientId, peer: id, reasonCode: fault?.reasonCode, why: messageOf(error) }, 'closed an MQTT connection')
    if (this.#session !== undefined) return this.end(fault?.reasonCode ?? reason.serverBusy, messageOf(error))
    this.#isEnding = true
    if (fault !== undefined) this.#refuse(fault)
    socket.destroySoon()
  }

  // A refusal in the CONNACK is final for many clients, so only what another try cannot change is told there.
  #refuse(fault: MqttFault): void {
    const { socket } = this.#deps
    const properties = { reasonString: fault.message }
    if (this.#version === 5) {
      socket.write(generate({ cmd: 'connack', reasonCode: fault.reasonCode, sessionPresent: false, properties }, { protocolVersion: 5 }))
      return
    }
    const returnCode = returnCodes.get(fault.reasonCode)
    if (returnCode !== undefined) socket.write(Buffer.from([0x20, 2, 0, returnCode]))
  }

  #onPacket(packet: Packet): void {
    if (packet.cmd === 'connect') return this.#onConnect(packet)
    if (this.#session === undefined) throw new MqttFault(reason.protocolError, `found ${packet.cmd} as the first packet, expected CONNECT`)
    switch (packet.cmd) {
      case 'pubrel':
        return this.#onRelease(packet.messageId ?? 0)
      case 'pingreq':
        return void this.#deps.socket.write(Buffer.from([0xd0, 0]))
      case 'disconnect':
        this.#isEnding = true
        return void this.#deps.socket.end()
      case 'subscribe': {
        const denied = this.#version === 5 ? reason.notAuthorized : 0x80
        this.#send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted: packet.subscriptions.map(() => denied) })
        return
      }
      case 'unsubscribe':
        this.#send({ cmd: 'unsuback', messageId: packet.messageId ?? 0, granted: packet.unsubscriptions.map(() => 0) })
        return
      case 'puback':
      case 'pubrec':
      case 'pubcomp':
        return // nothing is ever sent that these could answer
      default:
        throw new MqttFault(reason.protocolError, `found ${packet.cmd}, which a client does not send here`)
    }
  }

  #onConnect(connect: IConnectPacket): void {
    const { limits, sessions, logger } = this.#deps
    if (this.#session !== undefined) throw new MqttFault(reason.protocolError, 'found a second CONNECT')
    this.#version = connect.protocolVersion ?? 4
    const clean = connect.clean !== false
    // oxlint-disable-next-line no-control-regex -- ids with control characters would spoil every log
    if (Buffer.byteLength(connect.clientId) > maxClientIdBytes || /[\u0000-\u001f\u007f\ufffd]/.test(connect.clientId)) {
      throw new MqttFault(reason.badClientId, `found a client id that is longer than ${maxClientIdBytes} bytes, or has odd characters`)
    }
    if (connect.clientId === '' && !clean && this.#version < 5) {
      throw new MqttFault(reason.badClientId, 'found no client id for a session that is to be kept')
    }
    const peer = this.#deps.admit(connect)
    this.peer = peer
    const { session, isKept } = sessions.open({
      peerId: peer.id,
      clientId: connect.clientId,
      clean,
      expiryS: this.#version === 5 ? (connect.properties?.sessionExpiryInterval ?? 0) : clean ? 0 : undefined,
      connection: this,
    })
    this.#session = session
    this.clientId = session.clientId
    const asked = connect.keepalive ?? 0
    const keepAliveS = this.#version === 5 && (asked === 0 || asked > limits.maxKeepAliveS) ? limits.maxKeepAliveS : asked
    this.#keepAliveMs = keepAliveS * 1500
    if (connect.will !== undefined)
      logger.info({ client: this.clientId, peer: peer.id }, 'the will of an MQTT client is ignored: nobody subscribes here')
    this.#send({
      cmd: 'connack',
      returnCode: 0,
      reasonCode: 0,
      sessionPresent: isKept,
      ...(this.#version === 5 && {
        properties: {
          receiveMaximum: limits.maxInFlight,
          maximumPacketSize: limits.maxPacketBytes,
          topicAliasMaximum: maxTopicAlias,
          sessionExpiryInterval: session.expiryS,
          wildcardSubscriptionAvailable: false,
          subscriptionIdentifiersAvailable: false,
          sharedSubscriptionAvailable: false,
          ...(keepAliveS === asked ? {} : { serverKeepAlive: keepAliveS }),
          ...(connect.clientId === '' ? { assignedClientIdentifier: session.clientId } : {}),
        },
      }),
    })
  }

  #onPublish(publish: Publish): void {
    const { qos, messageId, payload } = publish
    const topic = this.#aliases.topicOf(publish)
    const received = this.#session!.received
    if (qos === 2) {
      if (received.has(messageId)) return this.#repeat(messageId, received.get(messageId) === true)
      if (received.size >= maxUnreleased * this.#deps.limits.maxInFlight)
        throw new MqttFault(reason.receiveMaximum, 'found too many QoS 2 publishes without PUBREL')
      received.set(messageId, false)
    }
    let group = this.#gathered
    if (group?.topic !== topic || group.qos !== qos) {
      this.#takeGathered()
      this.#gathered = group = { topic, qos, payloads: [], messageIds: [], turn: qos === 0 ? undefined : this.#turns.take() }
    }
    group.payloads.push(payload)
    group.messageIds.push(messageId)
  }

  /** A QoS 2 publish that is here already: while its first copy waits, that one is answered and this one is not. */
  #repeat(messageId: number, isSafe: boolean): void {
    this.#takeGathered()
    if (isSafe) this.#turns.answer(this.#turns.take(), plainAnswers('pubrec', [messageId]))
  }

  #takeGathered(): void {
    const group = this.#gathered
    if (group === undefined) return
    this.#gathered = undefined
    const { limits, socket } = this.#deps
    const count = group.payloads.length
    this.#inFlight += count
    const taken = this.#take(group)
    this.#inHand.add(taken)
    void taken.then(() => {
      this.#inHand.delete(taken)
      this.#inFlight -= count
      if (socket.isPaused() && this.#inFlight < limits.maxInFlight / 2 && !this.#isStopping) socket.resume()
    }) // cannot reject
    // MQTT 3.1.1 knows no other way to slow a sender down, and senders of MQTT 5 are not all as patient as they were told to be.
    if (this.#inFlight >= limits.maxInFlight) socket.pause()
  }

  async #take(group: Group): Promise<void> {
    const { qos, messageIds, turn } = group
    const cmd = qos === 2 ? 'pubrec' : 'puback'
    const received = this.#session!.received
    try {
      const notes = await this.#deps.take(group, this.peer!)
      if (qos === 2) for (const messageId of messageIds) received.set(messageId, true)
      if (turn === undefined) return
      const isPlain = this.#version < 5 || notes.size === 0
      const inWords = () => messageIds.map((messageId, index) => answer5(cmd, messageId, 0, notes.get(index)))
      this.#turns.answer(turn, isPlain ? plainAnswers(cmd, messageIds) : Buffer.concat(inWords()))
    } catch (error) {
      if (qos === 2) for (const messageId of messageIds) received.delete(messageId)
      // MQTT 5 can say no to a message; in 3.1.1 there is only the connection.
      if (error instanceof MqttFault && this.#version === 5 && turn !== undefined) {
        const { reasonCode, message } = error
        this.#turns.answer(turn, Buffer.concat(messageIds.map((messageId) => answer5(cmd, messageId, reasonCode, message))))
      } else if (!(error instanceof AndonError && error.retriable && turn === undefined)) this.#fail(error)
    }
  }

  #onRelease(messageId: number): void {
    const isKnown = this.#session!.received.delete(messageId)
    this.#send({ cmd: 'pubcomp', messageId, ...(this.#version === 5 && { reasonCode: isKnown ? 0 : 0x92 }) })
  }

  #acknowledge(bytes: Buffer): void {
    const { socket } = this.#deps
    if (this.#isEnding) return
    socket.write(bytes)
    if (socket.writableLength > maxUnreadBytes) this.#fail(new MqttFault(reason.protocolError, 'the client reads no acknowledgements'))
  }

  #send(packet: Packet): void {
    this.#deps.socket.write(generate(packet, { protocolVersion: this.#version }))
  }
}
