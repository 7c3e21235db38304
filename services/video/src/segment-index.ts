// What one camera's ring holds: closed segments in order of time, what is missing between them, and what must not be evicted.
// Pure: times and digests are handed in.

/** A key frame and the pictures up to the next one. */
export interface RecordedGop {
  readonly durationUs: number
  readonly packets: number
  /** Merkle root over its packets, hex. */
  readonly root: string
}

/** One closed segment: whole GOPs, playable with the init segment of its run. */
export interface Segment {
  /** File name, unique for the camera. */
  readonly name: string
  /** One start of the recorder: segments of a run share codec parameters and an init segment. */
  readonly run: string
  /** Rises by one from segment to segment. */
  readonly n: number
  /** Wall clock by receive time, microseconds UTC. */
  readonly startUs: number
  readonly endUs: number
  readonly bytes: number
  readonly sha256: string
  readonly gops: readonly RecordedGop[]
}

/** GOPs [fromGop, toGop) of a segment and the time they cover. */
export interface SegmentPart extends TimeRange {
  readonly segment: Segment
  readonly fromGop: number
  readonly toGop: number
}

/** File that a run's segments need in front of them. */
export const initName = (run: string): string => `${run}-init.mp4`

export interface TimeRange {
  readonly fromUs: number
  readonly toUs: number
}

/** A recorder reads a closed segment's end off the file's last write; jitter of that below this is no gap. */
export const gapUs = 500_000

/** The GOPs of a segment that overlap the range; undefined when none does. Times count back from the segment's end, which was measured. */
export const partIn = (segment: Segment, { fromUs, toUs }: TimeRange): SegmentPart | undefined => {
  let gopEndUs = segment.endUs
  const gops = segment.gops
    .toReversed()
    .map(({ durationUs }, i) => {
      const isFirst = i === segment.gops.length - 1
      const gop = { fromUs: isFirst ? segment.startUs : Math.max(segment.startUs, gopEndUs - durationUs), toUs: gopEndUs }
      gopEndUs = gop.fromUs
      return gop
    })
    .toReversed()
  const fromGop = gops.findIndex((gop) => gop.toUs > fromUs && gop.fromUs < toUs)
  const toGop = gops.findLastIndex((gop) => gop.toUs > fromUs && gop.fromUs < toUs) + 1
  if (fromGop < 0) return undefined
  return { segment, fromGop, toGop, fromUs: gops[fromGop]!.fromUs, toUs: gops[toGop - 1]!.toUs }
}

export interface SegmentIndex {
  /** Takes a closed segment, given its end and duration; its start is the end before it, unless something is missing in between. */
  add(segment: Omit<Segment, 'startUs' | 'n'> & { readonly durationUs: number }): Segment
  find(name: string): Segment | undefined
  /** Segments that overlap the range, oldest first. */
  covering(range: TimeRange): Segment[]
  /** Parts of the range without video, oldest first. */
  gaps(range: TimeRange): TimeRange[]
  all(): readonly Segment[]
  /** Keeps the range from eviction until released. */
  hold(range: TimeRange): { release(): void }
  /** Removes and returns what ended before the time and is not held. */
  evict(beforeUs: number): Segment[]
}

export const createSegmentIndex = (): SegmentIndex => {
  let segments: Segment[] = []
  const holds = new Set<TimeRange>()
  const overlaps = (segment: Segment, { fromUs, toUs }: TimeRange) => segment.endUs > fromUs && segment.startUs < toUs

  return {
    add({ durationUs, ...closed }) {
      const last = segments.at(-1)
      const measured = closed.endUs - durationUs
      const follows = last !== undefined && last.run === closed.run && Math.abs(measured - last.endUs) < gapUs
      // Never before the segment in front of it: a wall clock that was set back does not make two segments cover one time.
      const startUs = follows ? last.endUs : Math.max(measured, last?.endUs ?? measured)
      // The first number comes from the clock: after a restart with an emptier ring it is higher, never lower.
      const n = last ? last.n + 1 : Math.floor(startUs / 1e6)
      const segment = { ...closed, n, startUs, endUs: Math.max(closed.endUs, startUs) }
      segments.push(segment)
      return segment
    },
    find: (name) => segments.find((segment) => segment.name === name),
    covering: (range) => segments.filter((segment) => overlaps(segment, range)),
    gaps(range) {
      const missing: TimeRange[] = []
      let coveredUs = range.fromUs
      for (const segment of segments) {
        if (!overlaps(segment, range)) continue
        if (segment.startUs > coveredUs) missing.push({ fromUs: coveredUs, toUs: segment.startUs })
        coveredUs = Math.max(coveredUs, segment.endUs)
      }
      if (coveredUs < range.toUs) missing.push({ fromUs: coveredUs, toUs: range.toUs })
      return missing
    },
    all: () => segments,
    hold(range) {
      const held = { ...range }
      holds.add(held)
      return { release: () => holds.delete(held) }
    },
    evict(beforeUs) {
      const isOut = (segment: Segment) => segment.endUs < beforeUs && ![...holds].some((range) => overlaps(segment, range))
      const out = segments.filter(isOut)
      if (out.length > 0) segments = segments.filter((segment) => !isOut(segment))
      return out
    },
  }
}
