// The actions service over a log in memory, with an open incident, a hold and a failure, for programs that try its door out. Says its port and the ids on stdout; ends with its stdin.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLogger, localCodec, openMemoryLog, startService } from '@andon/kit'
import { loadConfig } from '../../services/actions/src/config.ts'
import { actionsService } from '../../services/actions/src/service.ts'
import { DoorClient, findingOf, plantDocuments, publishDocuments, raise, settingsIn, TOPICS } from '../../services/actions/test/rig.ts'

const dir = mkdtempSync(join(tmpdir(), 'andon-verify-door-'))
const log = openMemoryLog({ partitions: 4 })
const codec = localCodec()
await log.admin.ensureTopics(TOPICS.map((name) => ({ name, partitions: name === 'config' ? 1 : 4 })))
await publishDocuments(log, codec, plantDocuments())
// an error of ours goes to stderr with its stack: whoever tries the door sees why it answered with 5xx
const logger = createLogger({ service: 'actions', level: 'error' })
const service = actionsService(loadConfig(settingsIn(dir)), { log, codec, logger })
const running = await startService(service)
const door = service.parts.find((part) => part.name === 'door') as { port?: () => number } | undefined
const port = door?.port?.() ?? 0
await raise(log, codec, findingOf())
const step = await new DoorClient(`http://127.0.0.1:${port}`).step('pause')
console.log(JSON.stringify({ port, incidentId: step.incidentId, stepId: step.id, commandHash: step.commandHash }))
process.stdin.resume().once('end', () => {
  void running.stop().then(() => {
    rmSync(dir, { recursive: true, force: true })
    process.exit(0)
  })
})
