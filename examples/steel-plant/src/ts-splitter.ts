// Cuts an MPEG-TS byte stream where a viewer may join: at the tables in front of a key frame.

const packetBytes = 188
const patPid = 0

const pidOf = (packet: Buffer): number => ((packet[1]! & 0x1f) << 8) | packet[2]!

/** True for the packet that begins a key frame: payload start, adaptation field, random access indicator. */
const startsKeyFrame = (packet: Buffer): boolean =>
  (packet[1]! & 0x40) !== 0 && (packet[3]! & 0x20) !== 0 && packet[4]! > 0 && (packet[5]! & 0x40) !== 0

export interface TsPiece {
  readonly bytes: Buffer
  /** True when the piece begins with PAT and PMT followed by a key frame. */
  readonly joinable: boolean
}

/**
 * Feed it chunks; it gives whole packets back, split so that each key frame, with the tables before it, starts a piece of its own.
 * Holds back at most the tables and one packet.
 */
export const tsSplitter = () => {
  let rest = Buffer.alloc(0)
  let held: Buffer[] = []

  return (chunk: Buffer): TsPiece[] => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const pieces: TsPiece[] = []
    let current: Buffer[] = []
    let joinable = false
    const close = () => {
      if (current.length > 0) pieces.push({ bytes: Buffer.concat(current), joinable })
      current = []
      joinable = false
    }
    let at = 0
    for (; at + packetBytes <= bytes.length; at += packetBytes) {
      const packet = bytes.subarray(at, at + packetBytes)
      if (packet[0] !== 0x47) throw new Error('MPEG-TS lost its sync byte')
      if (pidOf(packet) === patPid) {
        // Tables belong to what follows them, so they wait for it.
        current.push(...held)
        held = [packet]
      } else if (held.length > 0 && held.length < 3 && !hasPes(packet)) {
        held.push(packet)
      } else {
        if (startsKeyFrame(packet)) {
          close()
          joinable = held.length > 0
        }
        current.push(...held, packet)
        held = []
      }
    }
    close()
    rest = Buffer.from(bytes.subarray(at))
    held = held.map((packet) => Buffer.from(packet))
    return pieces
  }
}

/** True when the packet starts or continues media rather than a table: its payload start carries a PES start code, or it has no payload start. */
const hasPes = (packet: Buffer): boolean => {
  if ((packet[1]! & 0x40) === 0) return true
  const payload = (packet[3]! & 0x20) === 0 ? 4 : 5 + packet[4]!
  return packet[payload] === 0 && packet[payload + 1] === 0 && packet[payload + 2] === 1
}
