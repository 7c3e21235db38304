// An inference service with doors as a process of its own, for tests that kill it: `node scoring-server.ts <port> <blobs> <facts.json>`.
// Says `ready` on a line when it serves.

import { readFileSync } from 'node:fs'
import { localCodec, openMemoryLog, publish, startService } from '@andon/kit'
import type { Models } from '@andon/schemas'
import { loadConfig } from '../src/config.ts'
import { createInferenceService } from '../src/service.ts'

const [port, blobDir, factsFile] = process.argv.slice(2) as [string, string, string]
const codec = localCodec()
const log = openMemoryLog()
const facts = JSON.parse(readFileSync(factsFile, 'utf8')) as Models[]
const config = loadConfig({
  ANDON_BLOB_DIR: blobDir,
  ANDON_LOG_LEVEL: 'fatal',
  ANDON_REDIS_URL: 'redis://127.0.0.1:1',
  INFERENCE_ROLE: 'server',
  INFERENCE_ADMIN_PORT: '0',
  INFERENCE_GRPC_PORT: port,
  INFERENCE_HTTP_PORT: '0',
  INFERENCE_METRICS_PORT: '0',
})
const service = createInferenceService(config, async () => ({ log, codec }))
const outputs = facts.flatMap((fact) =>
  ['ModelRegistered', 'ModelActivated'].map((type, i) => ({
    topic: 'models',
    key: fact.model,
    value: { ...fact, type },
    id: `${fact.model}-${fact.version}-${i}`,
    type,
    timeUs: 0,
  })),
)
await publish(log, codec, outputs, 'test')
await startService(service)
process.stdout.write('ready\n')
