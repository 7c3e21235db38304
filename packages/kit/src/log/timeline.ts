// Virtual time: events in the order of their time, then of their making, each followed by everything that JavaScript has
// to do because of it. Nothing outside may matter: no real timer, no input or output.

import type { Clock } from './clock.ts'

interface Event {
  readonly atMs: number
  readonly order: number
  readonly title: string
  /** False: it did not happen, and leaves no trace. */
  readonly happen: () => boolean
}

const isBefore = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)

export class Timeline {
  readonly trace: string[] = []
  private readonly heap: Event[] = []
  private nowMs: number
  private made = 0
  private isPlaying = false
  private isBusy = false

  constructor(startMs: number) {
    this.nowMs = startMs
  }

  after(ms: number, who: string, what: string, happen: () => boolean): void {
    this.push({ atMs: this.nowMs + ms, order: this.made++, title: `${who} ${what}`, happen })
    if (this.isPlaying) this.goOn()
  }

  /** Time as one client knows it. `isOut`: it cannot be woken now; it keeps the wake-up for later if it lives. */
  clockOf(who: string, isOut: (wake: () => void) => boolean): Clock {
    return {
      now: () => this.nowMs,
      after: (ms, work) => {
        let isCancelled = false
        const ring = (): boolean => {
          if (isCancelled || isOut(() => void ring())) return false
          work()
          return true
        }
        this.after(ms, who, `timer ${ms} ms`, ring)
        return () => {
          isCancelled = true
        }
      },
    }
  }

  /** The next event and all that follows from it at once; false when there is none. */
  async next(): Promise<boolean> {
    for (let event = this.pop(); event; event = this.pop()) {
      this.nowMs = Math.max(this.nowMs, event.atMs)
      if (!event.happen()) continue
      this.trace.push(`${this.nowMs} ${event.title}`)
      await this.quiet()
      return true
    }
    return false
  }

  /** What somebody did to the world just now. */
  note(what: string): void {
    this.trace.push(`${this.nowMs} ${what}`)
  }

  /** Resolves when every promise has gone as far as it can without another event. */
  quiet(): Promise<void> {
    return new Promise((resolve) => void setImmediate(resolve))
  }

  play(): void {
    this.isPlaying = true
    this.goOn()
  }

  tail(lines: number): string {
    return this.trace.slice(-lines).join('\n')
  }

  private goOn(): void {
    if (this.isBusy) return
    this.isBusy = true
    void (async () => {
      await this.quiet()
      while (await this.next());
      this.isBusy = false
    })()
  }

  private push(event: Event): void {
    const { heap } = this
    let at = heap.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(event, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = event
  }

  private pop(): Event | undefined {
    const { heap } = this
    const first = heap[0]
    const last = heap.pop()
    if (!last || last === first) return first
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}
