// Many clients of the event stream over plain sockets: counts the events that each one got.

import { connect } from 'node:net'

const [port, count, expected] = process.argv.slice(2).map(Number) as [number, number, number]
const MARK = Buffer.from('\nevent: IncidentOpened\n')
let opened = 0
let complete = 0

for (let i = 0; i < count; i += 1) {
  const socket = connect(port, '127.0.0.1')
  let events = 0
  let rest = Buffer.alloc(0)
  socket.write('GET /v1/actions/stream?line=press-line HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer token-operator\r\n\r\n')
  socket.once('data', () => {
    opened += 1
    if (opened === count) process.send?.({ opened })
  })
  socket.on('data', (chunk) => {
    const bytes = Buffer.concat([rest, chunk])
    let at = 0
    for (let found = bytes.indexOf(MARK); found >= 0; found = bytes.indexOf(MARK, at)) {
      events += 1
      at = found + MARK.length
    }
    rest = bytes.subarray(Math.max(at, bytes.length - MARK.length + 1))
    if (events === expected) {
      complete += 1
      events += 1 // counted once
      if (complete === count) process.send?.({ complete })
    }
  })
  socket.on('close', () => process.exit(1))
}
