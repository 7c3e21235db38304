// Runs the examples of a Markdown page as its reader would, in order, in one folder. What a block means stands in its info string:
//   ```ts orders.ts      is written to the file orders.ts
//   ```sh                is run by bash; a command that fails ends the page; `sh background` goes on until the page's end
//   ```text              must have been printed by the block before it: its lines in order, `…` stands for anything
//   ```sh skip           is not run, with the reason in the words after `skip`
// Any other block is prose.

import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { freeOffset } from '../harness/mesh.ts'

export interface Block {
  readonly kind: 'file' | 'run' | 'background' | 'printed'
  /** File name of a `file`. */
  readonly name: string
  readonly text: string
  /** Line of the page, from 1. */
  readonly line: number
}

const kindOf = (info: string): Pick<Block, 'kind' | 'name'> | undefined => {
  const [language = '', ...rest] = info.trim().split(/\s+/)
  if (language === 'sh') {
    if (rest[0] === 'skip') return undefined
    return { kind: rest[0] === 'background' ? 'background' : 'run', name: '' }
  }
  if (language === 'text' && rest.length === 0) return { kind: 'printed', name: '' }
  return rest.length === 1 && rest[0]!.includes('.') ? { kind: 'file', name: rest[0]! } : undefined
}

/** The blocks of a page, or of what stands below one of its headings, that mean something here. */
export const blocksOf = (page: string, section?: string): Block[] => {
  const blocks: Block[] = []
  const lines = page.split('\n')
  const [first, last] = section === undefined ? [0, lines.length] : sectionOf(lines, section)
  for (let at = first; at < last; at++) {
    const open = /^(`{3,})(.*)$/.exec(lines[at]!)
    if (open === null) continue
    const end = lines.indexOf(open[1]!, at + 1)
    if (end < 0) throw new Error(`Line ${at + 1}: the block has no end`)
    const kind = kindOf(open[2]!)
    if (kind !== undefined) blocks.push({ ...kind, text: `${lines.slice(at + 1, end).join('\n')}\n`, line: at + 1 })
    at = end
  }
  return blocks
}

/** From the line after a heading up to the next one that is no deeper. */
const sectionOf = (lines: readonly string[], section: string): [first: number, end: number] => {
  const depthOf = (line: string): number => /^(#+) /.exec(line)?.[1]!.length ?? Infinity
  const heading = lines.findIndex((line) => depthOf(line) < Infinity && line.replace(/^#+ /, '') === section)
  if (heading < 0) throw new Error(`There is no heading "${section}"`)
  const depth = depthOf(lines[heading]!)
  let isCode = false
  for (let at = heading + 1; at < lines.length; at++) {
    if (lines[at]!.startsWith('```')) isCode = !isCode
    if (!isCode && depthOf(lines[at]!) <= depth) return [heading + 1, at]
  }
  return [heading + 1, lines.length]
}

/** Undefined when the lines of `expected` occur in `printed` in order; else the first one that does not. */
export const missingLine = (expected: string, printed: string): string | undefined => {
  const lines = printed.split('\n')
  let at = 0
  for (const line of expected.trimEnd().split('\n')) {
    if (line.trim() === '' || line.trim() === '…') continue
    const pattern = new RegExp(
      line
        .trim()
        .split('…')
        .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`).replaceAll(/\s+/g, String.raw`\s+`))
        .join('.*'),
    )
    while (at < lines.length && !pattern.test(lines[at]!)) at++
    if (at++ >= lines.length) return line
  }
  return undefined
}

export interface DocRun {
  readonly page: string
  /** A heading: only what stands below it is run. Default: the whole page. */
  readonly section?: string
  /** Of the text of each block: what is different here, such as a port that is taken. */
  readonly rewrite?: (text: string) => string
  /** Folder the examples run in. */
  readonly folder: string
  readonly env: NodeJS.ProcessEnv
  /** Longest time of one block, ms. */
  readonly timeoutMs?: number
  readonly onBlock?: (block: Block) => void
}

/** Runs a page; rejects at the first block that fails, naming its line, with what it printed. Resolves to the number of blocks run. */
export const runDoc = async ({
  page,
  section,
  rewrite = (text) => text,
  folder,
  env,
  timeoutMs = 180_000,
  onBlock,
}: DocRun): Promise<number> => {
  const background: ChildProcess[] = []
  let printed = ''
  let count = 0
  const fail = (line: number, why: string): never => {
    throw new Error(`${page}:${line}: ${why}\n${printed.slice(-6000)}`)
  }
  try {
    for (const found of blocksOf(readFileSync(page, 'utf8'), section)) {
      const block = { ...found, text: rewrite(found.text) }
      onBlock?.(block)
      count++
      if (block.kind === 'file') {
        const file = join(folder, block.name)
        mkdirSync(dirname(file), { recursive: true })
        writeFileSync(file, block.text)
      } else if (block.kind === 'printed') {
        const missing = missingLine(block.text, printed)
        if (missing !== undefined) fail(block.line, `the block before did not print "${missing}"; it printed:`)
      } else if (block.kind === 'background') background.push(start(block.text, folder, env))
      else {
        const { code, output } = await finished(start(block.text, folder, env), timeoutMs)
        printed = output
        if (code !== 0) fail(block.line, code === undefined ? `did not end within ${timeoutMs} ms` : `ended with ${code}`)
      }
    }
    return count
  } finally {
    await Promise.all(background.map((child) => ended(child)))
  }
}

const start = (script: string, folder: string, env: NodeJS.ProcessEnv): ChildProcess =>
  spawn('bash', ['-euo', 'pipefail', '-c', script], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })

const signalGroup = (child: ChildProcess, signal: NodeJS.Signals): void => {
  try {
    process.kill(-child.pid!, signal)
  } catch {
    // It has ended.
  }
}

const ended = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const { promise, resolve } = Promise.withResolvers<void>()
  child.once('exit', () => resolve())
  signalGroup(child, 'SIGTERM')
  const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), 15_000)
  await promise
  clearTimeout(timer)
}

const finished = async (child: ChildProcess, timeoutMs: number): Promise<{ code: number | undefined; output: string }> => {
  let output = ''
  const collect = (bytes: Buffer): void => {
    output += bytes.toString()
  }
  child.stdout?.on('data', collect)
  child.stderr?.on('data', collect)
  let late = false
  const timer = setTimeout(() => {
    late = true
    signalGroup(child, 'SIGKILL')
  }, timeoutMs)
  const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? 1)))
  clearTimeout(timer)
  return { code: late ? undefined : code, output }
}

const kill = (pid: number): void => {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // The page has ended it.
  }
}

/**
 * A fresh folder inside the clone, where Node finds the workspaces' packages, with a state folder and ports of its own. The mesh
 * in it and processes whose pid the page wrote to a `.pid` file are ended afterwards; the folder goes.
 */
export const inFolderOfClone = async (use: (folder: string, env: NodeJS.ProcessEnv) => Promise<void>): Promise<void> => {
  const root = join(import.meta.dirname, '../..')
  const parent = join(root, '.cache')
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, 'docs-'))
  const { ANDON_PARENT_PID: _parent, NODE_TEST_CONTEXT: _context, ...rest } = process.env
  const env = {
    ...rest,
    PATH: `${join(root, 'node_modules', '.bin')}:${process.env['PATH']}`,
    ANDON_HOME: join(folder, '.andon'),
    ANDON_PORT_OFFSET: String(await freeOffset()),
  }
  try {
    await use(folder, env)
  } finally {
    for (const file of globSync('*.pid', { cwd: folder })) kill(Number(readFileSync(join(folder, file), 'utf8')))
    spawnSync(process.execPath, [join(root, 'packages/cli/src/main.ts'), 'down'], { cwd: folder, env, timeout: 60_000 })
    rmSync(folder, { recursive: true, force: true })
  }
}
