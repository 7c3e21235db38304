// node-opcua's server as a process of its own, so that a test can kill it. Commands come as messages of the parent: values to set.

import type { StatusCode } from 'node-opcua'
import { DataType, OPCUACertificateManager, OPCUAServer, SecurityPolicy, MessageSecurityMode, StatusCodes } from 'node-opcua'

export interface SetValue {
  readonly node: string
  readonly value: number | string | null
  readonly status?: keyof typeof StatusCodes
  readonly sourceMs?: number
}

const [port, pki, security] = process.argv.slice(2) as [string, string, string | undefined]
const manager = new OPCUACertificateManager({ rootFolder: pki, automaticallyAcceptUnknownCertificate: true })
const isOpen = security === 'none'
const server = new OPCUAServer({
  port: Number(port),
  host: '127.0.0.1',
  hostname: '127.0.0.1',
  serverCertificateManager: manager,
  securityModes: [isOpen ? MessageSecurityMode.None : MessageSecurityMode.SignAndEncrypt],
  securityPolicies: [isOpen ? SecurityPolicy.None : SecurityPolicy.Basic256Sha256],
  serverCapabilities: { minSupportedSampleRate: 0, maxSessions: 100 }, // every change is reported; sessions of cut connections stay for a while
  allowAnonymous: true,
  userManager: { isValidUser: (name: string, password: string) => name === 'reader' && password === 'right' },
})
await server.initialize()
const space = server.engine.addressSpace!.getOwnNamespace()
const other = server.engine.addressSpace!.registerNamespace('urn:plant:oven')
const types = { temperature: DataType.Double, pressure: DataType.Double, count: DataType.Int32, word: DataType.String } as const
const nodes = Object.fromEntries(
  Object.entries(types).map(([name, dataType]) => [
    name,
    (name === 'count' ? other : space).addVariable({
      organizedBy: server.engine.addressSpace!.rootFolder.objects,
      browseName: name,
      nodeId: `s=${name}`,
      minimumSamplingInterval: 0,
      dataType,
    }),
  ]),
)
const set = ({ node, value, status, sourceMs }: SetValue): void => {
  const dataType = types[node as keyof typeof types]
  nodes[node]!.setValueFromSource(
    { dataType: value === null ? DataType.Null : dataType, value: value as never },
    StatusCodes[status ?? 'Good'] as StatusCode,
    sourceMs === undefined ? new Date() : new Date(sourceMs),
  )
}
process.on('message', (values: readonly SetValue[]) => {
  values.forEach(set)
  process.send!('set')
})
process.on('disconnect', () => process.exit())
await server.start()
process.send!('ready')
