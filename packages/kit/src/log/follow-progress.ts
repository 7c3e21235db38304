// What "caught up" means to a follower: everything that the log held when somebody asked has been handled, as far as the
// log still holds it.

interface Waiting {
  readonly targets: Map<string, number>
  readonly done: () => void
}

export class FollowProgress {
  private readonly position: (id: string) => number | undefined
  private waiting: Waiting[] = []
  private limits = 0

  /** `position` gives the next offset to handle of "topic/partition", undefined while its start is unknown. */
  constructor(position: (id: string) => number | undefined) {
    this.position = position
  }

  /** Resolves when every partition has reached its end as of now (`ends`: first offset that does not exist, by partition). */
  async reached(ends: () => Promise<Map<string, number>>): Promise<void> {
    let targets: Map<string, number>
    let limits: number
    do {
      limits = this.limits
      targets = await ends()
    } while (limits !== this.limits) // an answer from before a loss would be waited for in vain
    await new Promise<void>((done) => {
      this.waiting.push({ targets, done })
      this.check()
    })
  }

  /** The partition may have lost its tail and ends here now: nobody waits for more. */
  limit(id: string, end: number): void {
    this.limits++
    for (const { targets } of this.waiting) targets.set(id, Math.min(targets.get(id) ?? end, end))
    this.check()
  }

  /** To be called whenever a position moved. */
  check(): void {
    this.waiting = this.waiting.filter(({ targets, done }) => {
      for (const [id, target] of targets) if ((this.position(id) ?? -1) < target) return true
      done()
      return false
    })
  }
}
