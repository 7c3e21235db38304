// `npm run verify -- docs`: pages whose examples are run as their reader would run them, from top to bottom.

import { join } from 'node:path'
import { messageOf } from '@andon/kit/errors'
import { blocksOf, inFolderOfClone, runDoc } from '../docs/doc-runner.ts'
import { readFileSync } from 'node:fs'
import type { Check } from './check.ts'

const PAGES = ['packages/kit/README.md', 'docs/tutorials/replay-a-day.md', 'docs/how-to/features.md']

const root = join(import.meta.dirname, '../..')

const run = async (page: string): Promise<Check> => {
  const file = join(root, page)
  const items = blocksOf(readFileSync(file, 'utf8')).length
  const failures: string[] = []
  try {
    await inFolderOfClone(async (folder, env) => {
      await runDoc({ page: file, folder, env, timeoutMs: 300_000, onBlock: ({ kind, line }) => console.error(`${page}:${line} ${kind}`) })
    })
  } catch (error) {
    failures.push(messageOf(error))
  }
  return { check: `docs: ${page}`, items, failed: failures.length, pass: failures.length === 0, skipped: [], failures }
}

export const docs = async (): Promise<Check[]> => {
  const checks: Check[] = []
  for (const page of PAGES) checks.push(await run(page))
  return checks
}
