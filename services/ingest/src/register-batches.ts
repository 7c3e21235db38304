// A register map → the reads that fetch it, and the bytes of an answer → numbers. Pure.

import { modbusTypeOf, registersOf } from '@andon/schemas'
import type { PlantSource, RegisterType } from '@andon/schemas'

export type ModbusChannel = Extract<PlantSource, { kind: 'modbus' }>['channels'][string]

export interface RegisterBatch {
  readonly area: ModbusChannel['area']
  readonly address: number
  readonly count: number
  /** Channels it fetches, by their place in the file. */
  readonly channels: readonly number[]
}

// Modbus Application Protocol 1.1b3 §6: at most this many in one answer.
const mostRegisters = 125
const mostBits = 2000
/** Registers nobody asked for that are read rather than asking twice. */
const mostGap = 4

/** Neighbouring registers are read together. */
export const batchesOf = (channels: readonly ModbusChannel[]): RegisterBatch[] => {
  const order = channels
    .map((channel, index) => ({ channel, index, to: channel.address + registersOf(modbusTypeOf(channel)) }))
    .toSorted((a, b) => a.channel.area.localeCompare(b.channel.area) || a.channel.address - b.channel.address)
  const batches: { area: ModbusChannel['area']; address: number; count: number; channels: number[] }[] = []
  for (const { channel, index, to } of order) {
    const { area, address } = channel
    const last = batches.at(-1)
    const most = area === 'coil' || area === 'discrete' ? mostBits : mostRegisters
    if (last !== undefined && last.area === area && address <= last.address + last.count + mostGap && to - last.address <= most) {
      last.count = Math.max(last.count, to - last.address)
      last.channels.push(index)
    } else batches.push({ area, address, count: to - address, channels: [index] })
  }
  return batches
}

/** The number of a channel in the registers of a batch, big-endian as they came. Undefined when they are too few. */
export const numberIn = (channel: ModbusChannel, batch: RegisterBatch, registers: Buffer): number | undefined => {
  const type = modbusTypeOf(channel)
  const width = registersOf(type)
  const from = (channel.address - batch.address) * 2
  if (from < 0 || from + 2 * width > registers.length) return undefined
  const bytes = Buffer.from(registers.subarray(from, from + 2 * width))
  if (channel.byteOrder === 'little') bytes.swap16()
  const ordered = channel.wordOrder === 'big' ? bytes : wordsReversed(bytes)
  if (type === 'bool') return (ordered.readUInt16BE() >> (channel.bit ?? 0)) & 1
  return readers[type](ordered)
}

const wordsReversed = (bytes: Buffer): Buffer => {
  const words: Buffer[] = []
  for (let at = bytes.length - 2; at >= 0; at -= 2) words.push(bytes.subarray(at, at + 2))
  return Buffer.concat(words)
}

const readers: Readonly<Record<Exclude<RegisterType, 'bool'>, (bytes: Buffer) => number>> = {
  int16: (bytes) => bytes.readInt16BE(),
  uint16: (bytes) => bytes.readUInt16BE(),
  int32: (bytes) => bytes.readInt32BE(),
  uint32: (bytes) => bytes.readUInt32BE(),
  int64: (bytes) => Number(bytes.readBigInt64BE()),
  uint64: (bytes) => Number(bytes.readBigUInt64BE()),
  float32: (bytes) => bytes.readFloatBE(),
  float64: (bytes) => bytes.readDoubleBE(),
}
