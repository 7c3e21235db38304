// One connection of the MQTT door: CONNECT, publishes, acknowledgements. It speaks MQTT 3.1, 3.1.1 and 5 as far as a device that publishes
// needs it; nobody can subscribe. A publish is acknowledged only after `take` resolved, in the order of arrival; when `take` rejects, the
// connection is closed without an acknowledgement, and the device sends what was not acknowledged again.

import type { Socket } from 'node:net'
import { generate, parser as packetParser } from 'mqtt-packet'
import type { IConnectPacket, Packet } from 'mqtt-packet'
import { AndonError, messageOf } from '@andon/kit'
import type { Logger } from '@andon/kit'
import { Frames, MqttFault, isPublish, readPublish, reason } from '../mqtt/frames.ts'
import type { Publish } from '../mqtt/frames.ts'
import { Turns, plainAnswer } from '../mqtt/turns.ts'
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
  /** Makes a message safe. Resolves with a note for the sender; rejects with an MqttFault (final) or any other error (the device tries again). */
  take(publish: { readonly topic: string; readonly payload: Buffer; readonly qos: number }, peer: Peer): Promise<string | undefined>
}

const connectByte = 0x10
const maxTopicAlias = 16
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
  readonly #aliases = new Map<number, string>()
  readonly #inHand = new Set<Promise<void>>()
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
        if (this.#session !== undefined && isPublish(frame)) this.#onPublish(readPublish(frame, this.#version))
        else this.#parse(frame)
        if (this.#isEnding) return
      }
    } catch (error) {
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
    const { maxInFlight } = this.#deps.limits
    const { qos, messageId } = publish
    const topic = this.#topicOf(publish)
    const received = this.#session!.received
    if (qos === 2 && received.has(messageId)) return this.#answer(this.#turns.take(), received.get(messageId) === true, 'pubrec', messageId)
    if (qos === 2 && received.size >= maxUnreleased * maxInFlight)
      throw new MqttFault(reason.receiveMaximum, 'found too many QoS 2 publishes without PUBREL')
    if (qos === 2) received.set(messageId, false)
    const turn = qos === 0 ? undefined : this.#turns.take()
    const taken = this.#takeIt({ topic, payload: publish.payload, qos }, messageId, turn)
    this.#inHand.add(taken)
    void taken.then(() => this.#handled(taken)) // cannot reject
    // MQTT 3.1.1 knows no other way to slow a sender down, and senders of MQTT 5 are not all as patient as they were told to be.
    if (this.#inHand.size >= maxInFlight) this.#deps.socket.pause()
  }

  #handled(taken: Promise<void>): void {
    this.#inHand.delete(taken)
    const { socket, limits } = this.#deps
    if (socket.isPaused() && this.#inHand.size < limits.maxInFlight / 2 && !this.#isStopping) socket.resume()
  }

  async #takeIt(message: { topic: string; payload: Buffer; qos: 0 | 1 | 2 }, messageId: number, turn: Turn | undefined): Promise<void> {
    const received = this.#session!.received
    const answer = message.qos === 2 ? 'pubrec' : 'puback'
    try {
      const note = await this.#deps.take(message, this.peer!)
      if (message.qos === 2) received.set(messageId, true)
      if (turn !== undefined) this.#answer(turn, true, answer, messageId, 0, note)
    } catch (error) {
      if (message.qos === 2) received.delete(messageId)
      // MQTT 5 can say no to one message; in 3.1.1 there is only the connection.
      if (error instanceof MqttFault && this.#version === 5 && turn !== undefined) {
        this.#answer(turn, true, answer, messageId, error.reasonCode, error.message)
      } else if (!(error instanceof AndonError && error.retriable && turn === undefined)) this.#fail(error)
    }
  }

  #onRelease(messageId: number): void {
    const isKnown = this.#session!.received.delete(messageId)
    this.#send({ cmd: 'pubcomp', messageId, ...(this.#version === 5 && { reasonCode: isKnown ? 0 : 0x92 }) })
  }

  #topicOf({ topic, alias }: Publish): string {
    if (alias === undefined) {
      if (topic === '') throw new MqttFault(reason.badTopic, 'found a publish without a topic')
      return topic
    }
    if (alias === 0 || alias > maxTopicAlias)
      throw new MqttFault(reason.badAlias, `found topic alias ${alias}, expected 1 to ${maxTopicAlias}`)
    if (topic === '') {
      const known = this.#aliases.get(alias)
      if (known === undefined) throw new MqttFault(reason.protocolError, `found topic alias ${alias}, which stands for no topic yet`)
      return known
    }
    this.#aliases.set(alias, topic)
    return topic
  }

  /** @param isDone false: its first copy will be answered, this one needs no answer of its own. */
  #answer(turn: Turn, isDone: boolean, cmd: 'puback' | 'pubrec', messageId: number, reasonCode = 0, note?: string): void {
    if (!isDone) return this.#turns.answer(turn, Buffer.alloc(0))
    if (this.#version < 5 || (reasonCode === 0 && note === undefined)) return this.#turns.answer(turn, plainAnswer(cmd, messageId))
    const properties = note === undefined ? {} : { properties: { reasonString: note } }
    this.#turns.answer(turn, generate({ cmd, messageId, reasonCode, ...properties }, { protocolVersion: 5 }))
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
