// Modbus TCP door: reads the registers that source files of kind modbus map. Never writes.
//
// modbus-serial gets a socket of ours, so that a connection ends when we say so; it answers to whoever waits, so one request is under
// way at a time, and what is not its answer ends the connection.

import { connect } from 'node:net'
import type { Socket } from 'node:net'
import modbusSerial from 'modbus-serial'
import type { ModbusRTU } from 'modbus-serial/ModbusRTU.js'
import { messageOf } from '@andon/kit'
import { defineDoor } from '../doors.ts'
import { batchesOf, numberIn } from '../register-batches.ts'
import type { ModbusChannel, RegisterBatch } from '../register-batches.ts'
import { fault, pollingDoor } from './polling.ts'
import type { PlcConnection, Polled, PolledFile } from './polling.ts'

export const modbusDoorKind = defineDoor({
  name: 'modbus',
  about: 'polls the Modbus TCP devices that sources/*.yaml name',
  settings: {},
  open: (_settings, context) => pollingDoor({ kind: 'modbus', connect: connectModbus }, context),
})

// A CommonJS module whose types say otherwise.
const Client = modbusSerial as unknown as typeof ModbusRTU

// MODBUS Application Protocol 1.1b3 §7, what people may correct in the map; others (busy, failure) are of the device.
const exceptions = new Map([
  [1, 'illegal function'],
  [2, 'illegal data address'],
  [3, 'illegal data value'],
  [4, 'device failure'],
  [6, 'device busy'],
  [10, 'gateway path unavailable'],
  [11, 'gateway target does not answer'],
])

const connectModbus = async (file: PolledFile<'modbus'>): Promise<PlcConnection> => {
  const socket = await opened(file)
  const client = new Client()
  client.on('error', () => socket.destroy()) // told by 'close'
  await client.linkTCP(socket, { port: file.port })
  client.setID(file.unitId)
  client.setTimeout(file.timeoutMs)
  const lost = new Promise<never>((_, reject) => socket.once('close', () => reject(new Error('the connection was closed'))))
  lost.catch(() => undefined) // watched while reading
  const channels = Object.values(file.channels)
  let batches = batchesOf(channels)

  const readBatch = async (batch: RegisterBatch, values: Polled[]): Promise<void> => {
    try {
      const { data, buffer } = await Promise.race([ask(client, batch), lost])
      const isBits = batch.area === 'coil' || batch.area === 'discrete'
      for (const index of batch.channels) {
        const channel = channels[index]!
        const value = isBits ? bitOf(channel, batch, data as boolean[]) : numberIn(channel, batch, buffer)
        if (value === undefined) throw new Error(`the answer for ${placeOf(batch)} is too short`)
        values[index] = value
      }
    } catch (error) {
      const code = (error as { modbusCode?: number }).modbusCode
      if (code === undefined) throw error
      if (batch.channels.length === 1)
        values[batch.channels[0]!] = fault(`${exceptions.get(code) ?? `exception ${code}`} at ${placeOf(batch)}`)
      else {
        // One address that the device does not have must not take its neighbours with it.
        const singly = batch.channels.map((index) => ({ ...batchesOf([channels[index]!])[0]!, channels: [index] }))
        batches = batches.flatMap((each) => (each === batch ? singly : [each]))
        for (const each of singly) await readBatch(each, values)
      }
    }
  }

  return {
    read: async () => {
      const values: Polled[] = []
      for (const batch of batches) await readBatch(batch, values)
      return values
    },
    close: () => socket.destroy(),
  }
}

const ask = async (client: ModbusRTU, { area, address, count }: RegisterBatch): Promise<{ data: (number | boolean)[]; buffer: Buffer }> => {
  try {
    switch (area) {
      case 'coil':
        return await client.readCoils(address, count)
      case 'discrete':
        return await client.readDiscreteInputs(address, count)
      case 'input':
        return await client.readInputRegisters(address, count)
      case 'holding':
        return await client.readHoldingRegisters(address, count)
    }
  } catch (error) {
    // It rejects with things that are no errors.
    throw error instanceof Error ? error : new Error((error as { message?: string }).message ?? messageOf(error))
  }
}

const bitOf = (channel: ModbusChannel, batch: RegisterBatch, bits: readonly boolean[]): number | undefined => {
  const bit = bits[channel.address - batch.address]
  return bit === undefined ? undefined : Number(bit)
}

const placeOf = ({ area, address, count }: RegisterBatch): string => `${area} ${address}${count > 1 ? ` to ${address + count - 1}` : ''}`

const opened = (file: PolledFile<'modbus'>): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: file.host, port: file.port, noDelay: true })
    const timer = setTimeout(() => socket.destroy(new Error(`not connected within ${file.timeoutMs} ms`)), file.timeoutMs)
    socket.on('error', reject) // for good: a later one is told by 'close'
    socket.once('connect', () => {
      clearTimeout(timer)
      resolve(socket)
    })
    socket.once('close', () => clearTimeout(timer))
  })
