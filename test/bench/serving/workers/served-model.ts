// `served-model.ts <folder>`: our server over a folder of models, in a process of its own: catalogue, queue, one thread, gRPC door. Says
// `ready {"port": …}`; the end of its input ends it.

import { once } from 'node:events'
import { serveFolder } from '../../../../services/inference/test/folder-server.ts'

const ends: (() => unknown)[] = []
const { grpcTarget } = await serveFolder({ after: (end) => void ends.push(end as () => unknown) }, process.argv[2]!)
process.stdout.write(`ready ${JSON.stringify({ target: grpcTarget })}\n`)
process.stdin.resume()
await once(process.stdin, 'end')
for (const end of ends) await end()
