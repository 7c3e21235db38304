import { test } from 'node:test'
import { localCodec, openMemoryLog } from '@andon/kit'
import { reviewFindingsBecomeWork } from './review-rig.ts'
import { TOPICS } from './rig.ts'

test('drift and changes of fault modes open an incident where a policy names their type, and only there', async (t) => {
  const log = openMemoryLog({ partitions: 4 })
  await log.admin.ensureTopics(TOPICS.map((name) => ({ name, partitions: name === 'config' ? 1 : 4 })))
  await reviewFindingsBecomeWork(t, log, localCodec())
})
