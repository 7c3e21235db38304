// Source files of PLCs and OPC UA servers that cannot be right, and what register maps make of bytes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DocumentError, parseSource } from '@andon/schemas'
import { batchesOf, numberIn } from '../src/register-batches.ts'
import type { ModbusChannel } from '../src/register-batches.ts'

const modbus = (channels: unknown, extra: object = {}) => ({
  version: 1,
  id: 'plc',
  kind: 'modbus',
  host: 'plc',
  asset: 'oven',
  channels,
  ...extra,
})
const s7 = (address: unknown, extra: object = {}) => ({
  version: 1,
  id: 'plc',
  kind: 's7',
  host: 'plc',
  asset: 'oven',
  channels: { a: { address } },
  ...extra,
})
const eip = (tag: unknown, extra: object = {}) => ({
  version: 1,
  id: 'plc',
  kind: 'ethernet-ip',
  host: 'plc',
  asset: 'oven',
  channels: { a: { tag } },
  ...extra,
})
const opcua = (node: unknown, extra: object = {}) => ({
  version: 1,
  id: 'press',
  kind: 'opcua',
  endpoint: 'opc.tcp://press:4840',
  asset: 'press',
  channels: { a: { node } },
  ...extra,
})

const table: readonly (readonly [name: string, source: unknown, path: RegExp])[] = [
  ['Modbus without channels', modbus({}), /channels/],
  ['Modbus channels as a list', modbus([{ address: 1 }]), /channels/],
  ['Modbus without an address', modbus({ a: {} }), /channels\.a\.address/],
  ['Modbus address below 0', modbus({ a: { address: -1 } }), /address/],
  ['Modbus address above 65535', modbus({ a: { address: 65_536 } }), /address/],
  ['Modbus address as manuals write it', modbus({ a: { address: 400_001 } }), /address/],
  ['Modbus address as a text', modbus({ a: { address: '10' } }), /address/],
  ['Modbus address with a fraction', modbus({ a: { address: 1.5 } }), /address/],
  [
    'Modbus float behind the last register',
    modbus({ a: { address: 65_535, type: 'float32' } }),
    /channels\.a\.address: expected an address of at most 65534/,
  ],
  ['Modbus double behind the last register', modbus({ a: { address: 65_533, type: 'float64' } }), /65532/],
  ['Modbus unknown type', modbus({ a: { address: 1, type: 'real' } }), /type/],
  ['Modbus unknown area', modbus({ a: { address: 1, area: 'memory' } }), /area/],
  ['Modbus bool register without a bit', modbus({ a: { address: 1, type: 'bool' } }), /channels\.a\.bit/],
  ['Modbus bit of a float', modbus({ a: { address: 1, type: 'float32', bit: 1 } }), /channels\.a\.type/],
  ['Modbus bit 16', modbus({ a: { address: 1, bit: 16 } }), /bit/],
  ['Modbus bit below 0', modbus({ a: { address: 1, bit: -1 } }), /bit/],
  ['Modbus coil with a bit', modbus({ a: { address: 1, area: 'coil', bit: 0 } }), /bit/],
  ['Modbus coil as a float', modbus({ a: { address: 1, area: 'coil', type: 'float32' } }), /type/],
  ['Modbus discrete input as a word', modbus({ a: { address: 1, area: 'discrete', type: 'uint16' } }), /type/],
  ['Modbus unknown word order', modbus({ a: { address: 1, wordOrder: 'middle' } }), /wordOrder/],
  ['Modbus unknown byte order', modbus({ a: { address: 1, byteOrder: 'abcd' } }), /byteOrder/],
  [
    'Modbus float over a word',
    modbus({ a: { address: 1, type: 'float32' }, b: { address: 2 } }),
    /channels\.b\.address: expected registers of its own; holding 2 to 2 overlaps channel a/,
  ],
  ['Modbus word under a double', modbus({ b: { address: 5 }, a: { address: 2, type: 'float64' } }), /overlaps channel b/],
  ['Modbus the same word twice', modbus({ a: { address: 1 }, b: { address: 1 } }), /overlaps/],
  ['Modbus the same bit twice', modbus({ a: { address: 1, bit: 2 }, b: { address: 1, bit: 2 } }), /overlaps/],
  ['Modbus a bit of a word that is read whole', modbus({ a: { address: 1 }, b: { address: 1, bit: 2 } }), /overlaps/],
  ['Modbus the same coil twice', modbus({ a: { address: 1, area: 'coil' }, b: { address: 1, area: 'coil' } }), /overlaps/],
  ['Modbus unit id 256', modbus({ a: { address: 1 } }, { unitId: 256 }), /unitId/],
  ['Modbus port 0', modbus({ a: { address: 1 } }, { port: 0 }), /port/],
  ['Modbus port 70000', modbus({ a: { address: 1 } }, { port: 70_000 }), /port/],
  ['Modbus port in words', modbus({ a: { address: 1 } }, { port: 'modbus' }), /port/],
  ['Modbus every 0 ms', modbus({ a: { address: 1 } }, { everyMs: 0 }), /everyMs/],
  ['Modbus without time', modbus({ a: { address: 1 } }, { timeoutMs: 0 }), /timeoutMs/],
  ['Modbus stale after 0', modbus({ a: { address: 1 } }, { staleAfter: 0 }), /staleAfter/],
  ['Modbus without a host', modbus({ a: { address: 1 } }, { host: '' }), /host/],
  ['Modbus without an asset', modbus({ a: { address: 1 } }, { asset: undefined }), /asset/],
  ['Modbus scale as a text', modbus({ a: { address: 1, scale: '0.1' } }), /scale/],
  ['Modbus scale NaN', modbus({ a: { address: 1, scale: Number.NaN } }), /scale/],
  ['Modbus offset infinite', modbus({ a: { address: 1, offset: Number.POSITIVE_INFINITY } }), /offset/],
  ['Modbus empty unit', modbus({ a: { address: 1, unit: '' } }), /unit/],
  ['Modbus a field that does not exist', modbus({ a: { address: 1, register: 2 } }), /channels\.a/],
  ['S7 empty address', s7(''), /address/],
  ['S7 a data block without a type', s7('DB1,4'), /address/],
  ['S7 data block 0', s7('DB0,INT4'), /address/],
  ['S7 a bit above 7', s7('DB1,X4.8'), /address/],
  ['S7 a bit without its number', s7('DB1,X4'), /address/],
  ['S7 as STEP 7 writes it', s7('DB1.DBD4'), /address/],
  ['S7 an unknown type', s7('DB1,FLOAT4'), /address/],
  ['S7 an array', s7('DB1,INT4.3'), /address/],
  ['S7 text', s7('DB1,S10.20'), /address/],
  ['S7 lower case', s7('db1,int4'), /address/],
  ['S7 an unknown area', s7('X1.0'), /address/],
  ['S7 an offset of six digits', s7('DB1,INT100000'), /address/],
  ['S7 a number', s7(4), /address/],
  ['S7 rack 8', s7('DB1,INT4', { rack: 8 }), /rack/],
  ['S7 slot 32', s7('DB1,INT4', { slot: 32 }), /slot/],
  ['S7 a command behind the address', s7('DB1,INT4;DB2,INT0'), /address/],
  ['EtherNet/IP empty tag', eip(''), /tag/],
  ['EtherNet/IP a tag with a blank', eip('Oven Temp'), /tag/],
  ['EtherNet/IP a tag that starts with a digit', eip('1Speed'), /tag/],
  ['EtherNet/IP a negative index', eip('Values[-1]'), /tag/],
  ['EtherNet/IP four dimensions', eip('Values[1,2,3,4]'), /tag/],
  ['EtherNet/IP an open bracket', eip('Values[1'), /tag/],
  ['EtherNet/IP a program without a tag', eip('Program:Main'), /tag/],
  ['EtherNet/IP a dot at the end', eip('Oven.'), /tag/],
  ['EtherNet/IP a tag of 300 letters', eip('a'.repeat(300)), /tag/],
  ['EtherNet/IP slot 256', eip('Speed', { slot: 256 }), /slot/],
  ['OPC UA security None', opcua('ns=1;i=1', { securityPolicy: 'None' }), /securityPolicy/],
  ['OPC UA a policy that is broken', opcua('ns=1;i=1', { securityPolicy: 'Basic128Rsa15' }), /securityPolicy/],
  ['OPC UA over http', opcua('ns=1;i=1', { endpoint: 'http://press:4840' }), /endpoint/],
  ['OPC UA without a host', opcua('ns=1;i=1', { endpoint: 'opc.tcp://' }), /endpoint/],
  ['OPC UA a node without its kind', opcua('ns=1;Temperature'), /node/],
  ['OPC UA an index of letters', opcua('ns=x;i=1'), /node/],
  ['OPC UA an empty name', opcua('ns=1;s='), /node/],
  ['OPC UA a guid that is none', opcua('ns=1;g=1234'), /node/],
  ['OPC UA an empty namespace', opcua('nsu=;i=1'), /node/],
  ['OPC UA a deadband of 0', opcua('i=1', { channels: { a: { node: 'i=1', deadband: 0 } } }), /deadband/],
  ['OPC UA a password in the file', opcua('i=1', { user: { name: 'reader', password: 'secret' } }), /user/],
  [
    'OPC UA a password from any variable',
    opcua('i=1', { user: { name: 'reader', passwordFrom: 'AWS_SECRET_ACCESS_KEY' } }),
    /passwordFrom/,
  ],
  ['OPC UA published every 0 ms', opcua('i=1', { publishingMs: 0 }), /publishingMs/],
  ['OPC UA a queue of a week', opcua('i=1', { bufferS: 604_800 }), /bufferS/],
  ['OPC UA without channels', opcua('i=1', { channels: {} }), /channels/],
]

for (const [name, source, expected] of table)
  test(`a source file is refused: ${name}`, () => {
    assert.throws(
      () => parseSource(source),
      (error) => error instanceof DocumentError && expected.test(error.message),
    )
  })

test('source files that are right are taken, with their defaults', () => {
  const read = parseSource(
    modbus(
      { a: { address: 1, bit: 0 }, b: { address: 1, bit: 1 }, c: { address: 2, type: 'float32' }, d: { address: 1, area: 'input' } },
      { port: '{port:502}' },
    ),
    { portOffset: 5 },
  )
  assert.equal(read.kind === 'modbus' && read.port, 507)
  for (const address of ['DB1,REAL4', 'DB1,X0.7', 'MW10', 'I0.1', 'DB65535,LREAL8']) parseSource(s7(address))
  for (const tag of ['Speed', 'Oven.Temperature', 'Values[3]', 'Grid[1,2].Heat', 'Program:Main.Speed']) parseSource(eip(tag))
  for (const node of ['i=2258', 'ns=2;s=A.B;C', 'nsu=http://plant/x;i=1', 'ns=1;g=12345678-1234-1234-1234-1234567890ab', 'ns=1;b=AQID'])
    parseSource(opcua(node))
})

const channel = (extra: Partial<ModbusChannel>): ModbusChannel => ({
  scale: 1,
  offset: 0,
  area: 'holding',
  address: 0,
  wordOrder: 'big',
  byteOrder: 'big',
  ...extra,
})

test('every word and byte order reads its number', () => {
  const big = Buffer.alloc(4)
  big.writeFloatBE(21.5)
  const batch = { area: 'holding', address: 0, count: 2, channels: [0] } as const
  const orders = [
    ['big', 'big', big],
    ['little', 'big', Buffer.from([big[2]!, big[3]!, big[0]!, big[1]!])],
    ['big', 'little', Buffer.from([big[1]!, big[0]!, big[3]!, big[2]!])],
    ['little', 'little', Buffer.from([big[3]!, big[2]!, big[1]!, big[0]!])],
  ] as const
  for (const [wordOrder, byteOrder, bytes] of orders)
    assert.equal(numberIn(channel({ type: 'float32', wordOrder, byteOrder }), batch, bytes), 21.5)
})

const anyChannel = fc.record({
  area: fc.constantFrom('holding', 'input', 'coil', 'discrete') as fc.Arbitrary<ModbusChannel['area']>,
  address: fc.integer({ min: 0, max: 60_000 }),
  wide: fc.boolean(),
})

test('every channel is in one batch that holds it whole, and no batch is longer than a device may answer', () => {
  fc.assert(
    fc.property(fc.array(anyChannel, { minLength: 1, maxLength: 60 }), (drawn) => {
      const channels = drawn.map(({ area, address, wide }) => {
        const isBits = area === 'coil' || area === 'discrete'
        return channel({ area, address, ...(!isBits && wide ? { type: 'float64' as const } : {}) })
      })
      const batches = batchesOf(channels)
      assert.deepEqual(
        batches.flatMap((batch) => batch.channels).toSorted((a, b) => a - b),
        channels.map((_, index) => index),
      )
      for (const batch of batches) {
        const isBits = batch.area === 'coil' || batch.area === 'discrete'
        assert.ok(batch.count <= (isBits ? 2000 : 125))
        if (isBits) continue
        const registers = Buffer.alloc(batch.count * 2, 1)
        for (const index of batch.channels) assert.notEqual(numberIn(channels[index]!, batch, registers), undefined)
      }
    }),
  )
})

test('random bytes give a number or nothing, never an exception', () => {
  const types = ['bool', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64', 'float32', 'float64'] as const
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.constantFrom(...types),
      fc.integer({ min: 0, max: 200 }),
      fc.boolean(),
      (bytes, type, address, isBig) => {
        const read = numberIn(
          channel({
            type,
            address,
            ...(type === 'bool' ? { bit: 3 } : {}),
            wordOrder: isBig ? 'big' : 'little',
            byteOrder: isBig ? 'little' : 'big',
          }),
          { area: 'holding', address: 0, count: 125, channels: [0] },
          Buffer.from(bytes),
        )
        assert.ok(read === undefined || typeof read === 'number')
      },
    ),
  )
})
