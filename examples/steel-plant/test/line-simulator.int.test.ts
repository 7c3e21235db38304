// The line simulator over real OPC UA: read, pause, read back, burn.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { AttributeIds, DataType, MessageSecurityMode, OPCUAClient, SecurityPolicy, StatusCodes, type ClientSession } from 'node-opcua'
import { startLineSimulator } from '../src/line-simulator.ts'

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => (typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port'))))
    })
  })

const pkiDir = mkdtempSync(join(tmpdir(), 'andon-line-'))
after(() => rmSync(pkiDir, { recursive: true, force: true }))

const read = async (session: ClientSession, name: string): Promise<unknown> =>
  (await session.read({ nodeId: `ns=1;s=PressLine.${name}`, attributeId: AttributeIds.Value })).value.value
const call = async (session: ClientSession, method: string, inputArguments: { dataType: DataType; value: unknown }[]) => {
  const result = await session.call({ objectId: 'ns=1;s=PressLine', methodId: `ns=1;s=PressLine.${method}`, inputArguments })
  assert.equal(result.statusCode, StatusCodes.Good)
  return (result.outputArguments ?? []).map((v) => v.value as unknown)
}

test('a client pauses the line, reads the effect back, and a repeated or burned request is refused', { timeout: 60_000 }, async () => {
  const simulator = await startLineSimulator({ port: await freePort(), pkiDir, stopMs: 200 })
  const client = OPCUAClient.create({
    endpointMustExist: false,
    securityMode: MessageSecurityMode.None,
    securityPolicy: SecurityPolicy.None,
    connectionStrategy: { maxRetry: 2 },
  })
  try {
    await client.connect(simulator.endpoint)
    const session = await client.createSession()
    assert.equal(await read(session, 'State'), 'running')
    assert.equal(await read(session, 'Mode'), 'automatic')
    assert.equal(await read(session, 'EmergencyStop'), false)
    assert.ok(Math.abs(((await read(session, 'TargetTimeMs')) as number) - Date.now()) < 2000)

    const pause = (id: string) => [
      { dataType: DataType.String, value: id },
      { dataType: DataType.Double, value: Date.now() + 5000 },
      { dataType: DataType.UInt32, value: 45 },
    ]
    assert.deepEqual(await call(session, 'RequestPause', pause('r-1')), [true, 'OK'])
    while ((await read(session, 'State')) !== 'paused') await new Promise((resolve) => setTimeout(resolve, 50))
    assert.equal(await read(session, 'DoneRequestId'), 'r-1')
    assert.deepEqual(await call(session, 'RequestPause', pause('r-1')), [false, 'REPEATED'])
    assert.deepEqual(await call(session, 'BurnRequest', [{ dataType: DataType.String, value: 'r-2' }]), [false])
    assert.deepEqual(await call(session, 'RequestPause', pause('r-2')), [false, 'BURNED'])
    assert.deepEqual(await call(session, 'LocalReset', []), [true])
    assert.deepEqual(await call(session, 'RequestResume', pause('r-3').slice(0, 2)), [true, 'OK'])
    assert.deepEqual(
      simulator.ledger().map((e) => [e.effect, e.requestId]),
      [
        ['pause', 'r-1'],
        ['resume', 'r-3'],
      ],
    )
    await session.close()
  } finally {
    await client.disconnect()
    await simulator.stop()
  }
})
