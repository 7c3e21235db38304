// The actions door alone, over a log in memory: facts come at a fixed rate, and what it costs to bring them to its clients is told.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fact, ownershipTaken, sign } from '@andon/decisions'
import { createLogger, localCodec, openMemoryLog, startService } from '@andon/kit'
import { openActionsLog } from '../../../../services/actions/src/actions-log.ts'
import { loadConfig } from '../../../../services/actions/src/config.ts'
import { actionsService } from '../../../../services/actions/src/service.ts'
import { plantDocuments, publishDocuments, settingsIn, TOPICS } from '../../../../services/actions/test/rig.ts'

const [perSecond, seconds] = process.argv.slice(2).map(Number) as [number, number]
const LINE = 'press-line'
const TICK_MS = 20

const dir = mkdtempSync(join(tmpdir(), 'andon-bench-door-'))
const log = openMemoryLog({ partitions: 4 })
const codec = localCodec()
const logger = createLogger({ service: 'actions', level: 'silent' })
await log.admin.ensureTopics(TOPICS.map((name) => ({ name, partitions: name === 'config' ? 1 : 4 })))
await publishDocuments(log, codec, plantDocuments())
const service = actionsService(loadConfig(settingsIn(dir, { ACTIONS_ROLE: 'door' })), { log, codec, logger })
const running = await startService(service)
const door = service.parts.find((part) => part.name === 'door') as { port?: () => number } | undefined

const actionsLog = openActionsLog(log, codec, logger)
await actionsLog.append(0, [ownershipTaken(LINE, 1, 'bench', Date.now() * 1000)])
const append = (n: number) => {
  const atUs = Date.now() * 1000
  const title = 'Vibration of press-1 is 1.6 times its line'
  return actionsLog.append(
    0,
    sign([fact('IncidentOpened', LINE, atUs, [n], { incidentId: `i-${n}`, assetId: 'press-1', title })], 1, 'bench'),
  )
}

const measure = async (): Promise<void> => {
  const from = process.cpuUsage()
  const startedMs = performance.now()
  let sent = 0
  while (sent < perSecond * seconds) {
    const due = Math.min(perSecond * seconds, Math.floor(((performance.now() - startedMs) / 1000) * perSecond))
    while (sent < due) await append(sent++)
    await new Promise((resolve) => setTimeout(resolve, TICK_MS))
  }
  const { user, system } = process.cpuUsage(from)
  process.send?.({ cpuSeconds: (user + system) / 1e6, wallSeconds: (performance.now() - startedMs) / 1000, sent })
}

process.once('message', () => void measure())
process.once('disconnect', () => {
  void running.stop().then(() => {
    rmSync(dir, { recursive: true, force: true })
    process.exit(0)
  })
})
process.send?.({ port: door?.port?.() ?? 0 })
