// Source files of a door that asks instead of being told: one running link per file that is this instance's, opened, replaced and
// closed as files and assignment change. What happens to one link never touches another.

import type { Logger } from '@andon/kit'
import type { PlantSource, SourceKind } from '@andon/schemas'
import type { Assignment, SourceFiles } from './doors.ts'

type FileOf<K extends SourceKind> = Extract<PlantSource, { kind: K }>

/** Why a link ends: its file is gone, has another text, or this or another instance goes on with it later. */
export type LinkEnd = 'removed' | 'changed' | 'handed over'

/** One source being read. */
export interface Link {
  /** True when the counterpart answers, else why it does not. */
  up(): true | string
  /** Ends reading, after what is in hand. */
  stop(why: LinkEnd): Promise<void>
}

export interface PullDeps<K extends SourceKind> {
  readonly kind: K
  readonly sources: SourceFiles
  readonly assignment: Assignment
  readonly logger: Logger
  /** Must not throw: a link reports its own failures and tries again. */
  readonly open: (file: FileOf<K>) => Link
}

interface Running {
  readonly text: string
  readonly link: Link
}

export interface PullSources {
  stop(): Promise<void>
}

/** Opens what is this instance's now, and follows changes until stopped. */
export const pullSources = <K extends SourceKind>({ kind, sources, assignment, logger, open }: PullDeps<K>): PullSources => {
  const running = new Map<string, Running>()
  const closing = new Map<string, Promise<void>>()
  let isStopped = false

  const close = (id: string, { link }: Running, why: LinkEnd): void => {
    running.delete(id)
    const closed = link
      .stop(why)
      .catch((error: unknown) => logger.warn({ err: error, source: id }, 'a source did not close in order'))
      .finally(() => {
        closing.delete(id)
        reconcile() // a changed file waits for its old link
      })
    closing.set(id, closed)
  }

  const reconcile = (): void => {
    if (isStopped) return
    const files = new Map(sources.of(kind).map((file) => [file.id, file]))
    for (const [id, one] of running) {
      const file = files.get(id)
      if (file === undefined) close(id, one, 'removed')
      else if (JSON.stringify(file) !== one.text) close(id, one, 'changed')
      else if (!assignment.isMine(id)) close(id, one, 'handed over')
    }
    for (const [id, file] of files) {
      if (running.has(id) || closing.has(id) || !assignment.isMine(id)) continue
      running.set(id, { text: JSON.stringify(file), link: open(file) })
    }
  }

  const unfollow = [sources.onChange(reconcile), assignment.onChange(reconcile)]
  reconcile()
  return {
    stop: async () => {
      isStopped = true
      for (const end of unfollow) end()
      for (const [id, one] of running) close(id, one, 'handed over')
      await Promise.all(closing.values())
    },
  }
}
