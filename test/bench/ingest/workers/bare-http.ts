// The peer of P6: node:http that answers 202 and does nothing. Prints its port.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

// Connections wait while others are measured.
const server = createServer({ keepAliveTimeout: 65_000 }, (_request, response) => response.writeHead(202, { 'content-length': 0 }).end())
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))
process.on('disconnect', () => process.exit(0))
