// What "caught up" means to a follower: everything that the log held when somebody asked has been handled.

interface Waiting {
  readonly targets: Map<string, number>
  readonly done: () => void
}

export class FollowProgress {
  private readonly position: (id: string) => number | undefined
  private waiting: Waiting[] = []

  /** `position` gives the next offset to handle of "topic/partition", undefined while its start is unknown. */
  constructor(position: (id: string) => number | undefined) {
    this.position = position
  }

  /** Resolves when every partition has reached its target (first offset that did not exist at the call). */
  async reached(targets: Map<string, number>): Promise<void> {
    await new Promise<void>((done) => {
      this.waiting.push({ targets, done })
      this.check()
    })
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
