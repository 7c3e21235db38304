// The two halves of a backtest, each a process of the service whose code it runs: one reads the recording into vectors, the other judges
// them. Vectors pass through unopened; rows and judgements are handed out as they come.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { FRAME, frameOf, framesOf } from '@andon/kit/pipe-frames'
import { type JudgedWindow, type RowChunk, unpackRows } from '@andon/kit/row-frames'
import { repositoryRoot } from '@andon/platform'
import { CommandError } from '../context.ts'
import { EXIT } from '../exit.ts'

const READER = 'services/features/src/tools/stream.ts'
const JUDGE = 'services/clustering/src/tools/judge.ts'

export interface BacktestPlan {
  readonly file: string
  readonly time?: string | undefined
  readonly zone?: string | undefined
  readonly assetColumn?: string | undefined
  readonly asset?: string | undefined
  readonly labels?: string | undefined
  readonly labelColumn?: string | undefined
  readonly channels?: readonly string[] | undefined
  readonly exclude?: readonly string[] | undefined
  readonly set?: string | undefined
  readonly trainRows?: number | undefined
  readonly trainUntil?: string | undefined
}

/** What the first reading found. */
export interface Scanned {
  readonly rows: number
  readonly timeColumn: string | null
  readonly timeKind: 'date' | 'number' | 'row'
  readonly hasAssets: boolean
  readonly hasLabels: boolean
  readonly channels: readonly { readonly name: string; readonly unit: string }[]
  readonly assets: readonly {
    readonly id: string
    readonly rows: number
    readonly firstUs: number
    readonly lastUs: number
    readonly learn: number
  }[]
  readonly learnt: string
  readonly notes: readonly string[]
  readonly featureSet: string
}

export interface Listener {
  onScan(scan: Scanned): void
  onRows(rows: RowChunk): void
  onJudged(windows: readonly JudgedWindow[]): Promise<void> | void
  onProgress(phase: string, share: number): void
}

interface About {
  readonly scan?: Scanned
  readonly progress?: { readonly phase: string; readonly share: number }
}

const started = (tool: string, plan: object): { child: ChildProcess; closed: Promise<number | null> } => {
  const child = spawn(process.execPath, [join(repositoryRoot, tool), '--plan', JSON.stringify(plan)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin?.on('error', () => undefined) // it ended, and has said why
  const closed = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { child, closed }
}

/** Resolves when every window has been handed out. A half that fails has said why itself; the command ends with its exit code. */
export const runTools = async (plan: BacktestPlan, listener: Listener): Promise<void> => {
  const reader = started(READER, plan)
  let judge: ReturnType<typeof started> | undefined
  let judged: Promise<void> = Promise.resolve()
  const finish = async (): Promise<void> => {
    for await (const { body } of framesOf(judge?.child.stdout as AsyncIterable<Buffer>))
      await listener.onJudged(JSON.parse(body.toString()) as JudgedWindow[])
  }
  try {
    for await (const { kind, body } of framesOf(reader.child.stdout as AsyncIterable<Buffer>)) {
      if (kind === FRAME.rows) {
        listener.onRows(unpackRows(body))
      } else if (kind === FRAME.about) {
        const { scan, progress } = JSON.parse(body.toString()) as About
        if (progress !== undefined) listener.onProgress(progress.phase, progress.share)
        if (scan === undefined) continue
        listener.onScan(scan)
        judge = started(JUDGE, { learn: Object.fromEntries(scan.assets.map(({ id, learn }) => [id, learn])) })
        judged = finish()
        judged.catch(() => reader.child.kill()) // its error is the one to show
      } else if (judge?.child.stdin != null && !judge.child.stdin.destroyed) {
        if (!judge.child.stdin.write(frameOf(kind, body))) await Promise.race([once(judge.child.stdin, 'drain'), judge.closed])
      }
    }
    const code = await reader.closed
    if (code !== EXIT.ok) throw new CommandError(code ?? EXIT.failed, '')
    judge?.child.stdin?.end()
    await judged
    const judgeCode = await judge?.closed
    if (judgeCode !== EXIT.ok) throw new CommandError(judgeCode ?? EXIT.failed, '')
  } catch (error) {
    reader.child.kill()
    judge?.child.kill()
    throw error
  }
}
