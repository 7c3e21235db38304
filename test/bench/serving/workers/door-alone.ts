// The gRPC door with nothing behind it: every request is answered with the sum of its first tensor, the first time, and with the same
// bytes from then on. Says `ready {"target": …}`; the end of its input ends it.

import { once } from 'node:events'
import { createLogger } from '@andon/kit'
import { grpcDoor } from '../../../../services/inference/src/doors/grpc-door.ts'
import { doorSettings } from '../../../../services/inference/src/doors/settings.ts'
import { unsupported } from '../../../../services/inference/src/errors.ts'
import type { Serving } from '../../../../services/inference/src/serving/serving.ts'

const logger = createLogger({ service: 'inference', level: 'fatal' })
const nothing = (): never => {
  throw unsupported('there is no model')
}
let sum: Uint8Array | undefined
const serving: Serving = {
  isReady: () => true,
  isModelReady: () => true,
  infer: async ({ model, inputs }) => {
    if (sum === undefined) {
      let total = 0
      for (const value of new Float32Array(new Uint8Array(inputs[0]!.bytes).buffer)) total += value
      sum = new Uint8Array(Float64Array.of(total).buffer)
    }
    return { model, version: '1', parameters: {}, outputs: [{ name: 'y', datatype: 'FP64', shape: [1], bytes: sum }] }
  },
  describe: nothing,
  index: () => [],
  load: nothing,
  unload: nothing,
  statistics: () => [],
}
const door = grpcDoor({
  host: '127.0.0.1',
  port: 0,
  setting: '',
  serving: () => serving,
  isReady: () => true,
  settings: doorSettings(logger),
  maxMessageBytes: 64 * 1024 * 1024,
  onRequest: () => {},
  logger,
})
await door.start()
process.stdout.write(`ready ${JSON.stringify({ target: `127.0.0.1:${door.port()}` })}\n`)
process.stdin.resume()
await once(process.stdin, 'end')
await door.stop()
