// `npm run verify -- docs`: pages whose examples are run as their reader would run them, from top to bottom.

import { join } from 'node:path'
import { messageOf } from '@andon/kit/errors'
import { blocksOf, inFolderOfClone, runDoc } from '../docs/doc-runner.ts'
import { readFileSync } from 'node:fs'
import type { Check } from './check.ts'

interface Page {
  readonly page: string
  /** Only what stands below this heading. */
  readonly section?: string
  /** Its commands are written for the root of the clone; they leave nothing there that git sees. */
  readonly isInRoot?: boolean
  /** Ports that stand in the text. */
  readonly ports?: readonly number[]
}

const PAGES: readonly Page[] = [
  { page: 'packages/kit/README.md' },
  { page: 'docs/tutorials/replay-a-day.md' },
  { page: 'docs/how-to/features.md' },
  { page: 'docs/how-to/audit.md' },
  { page: 'services/inference/README.md', section: 'Serve your own ONNX file', isInRoot: true, ports: [8000, 8001] },
]

const root = join(import.meta.dirname, '../..')

const run = async ({ page, section, isInRoot = false, ports = [] }: Page): Promise<Check> => {
  const file = join(root, page)
  const items = blocksOf(readFileSync(file, 'utf8'), section).length
  const failures: string[] = []
  try {
    await inFolderOfClone(async (folder, env) => {
      const offset = Number(env['ANDON_PORT_OFFSET'])
      const rewrite = (text: string): string =>
        ports.reduce((all, port) => all.replaceAll(`localhost:${port}`, `localhost:${port + offset}`), text)
      const onBlock = ({ kind, line }: { kind: string; line: number }): void => console.error(`${page}:${line} ${kind}`)
      const part = section === undefined ? {} : { section }
      await runDoc({ page: file, ...part, rewrite, folder: isInRoot ? root : folder, env, timeoutMs: 300_000, onBlock })
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
