// What one partition knows of an asset class: micro-clusters, a sample of rows, closed episodes and who was watched when. Bounded for any
// length of stream. At each full hour of event time it is written down whole, so that the newest summaries of all partitions are all that a
// fit needs; merged in partition order they give the same whatever order they arrived in. Pure.

import { uuid8 } from '@andon/kit/ids'
import { type MicroClusterOptions, MicroClusters, mergeAll } from './modes/micro-clusters.ts'
import { fromPackedJson, toPackedJson } from './modes/packed.ts'
import { NOVEL } from './modes/refit.ts'
import { Sample, type SampleOptions, type SampleState } from './modes/sample.ts'

export const HOUR_US = 3_600_000_000
const DAY_US = 24 * HOUR_US

/** What the coordinates of a class mean. Rows of another feature set cannot be compared. */
export interface ClassSpace {
  readonly featureSet: string
  readonly featureSetDigest: string
  readonly names: readonly string[]
}

/** A closed episode, for what followed it. Its place says which mode it showed, also when that mode was not known yet. */
export interface PlacedEpisode {
  readonly episodeId: string
  readonly assetId: string
  readonly openedUs: number
  readonly closedUs: number
  /** Mean of its windows above the line, those that are far out counting most. */
  readonly place: Float64Array
}

export interface AssetInClass {
  windows: number
  /** Spans in which it was watched, oldest first. */
  spans: [fromUs: number, toUs: number][]
}

export interface ClassWindow {
  readonly assetId: string
  readonly vectorId: string
  readonly windowEndUs: number
  readonly point: Float64Array
  /** Of an open episode. */
  readonly isAnomalous: boolean
  /** By the model that holds; undefined: novel. */
  readonly modeId: string | undefined
}

const MOST_ASSETS = 200
const MOST_EPISODES = 200
const MOST_SPANS = 8
/** Silence that ends a span of being watched. */
const SPAN_GAP_US = 2 * DAY_US
const MOST_MICRO_CLUSTERS = 64
/** Share of the rows outside and inside episodes that are kept apart, so that a rare fault is not crowded out by its healthy like. */
const ANOMALOUS = '!'

/** Rows per group shrink with their width, so that a class stays below a few hundred kilobytes. */
const sampleOptions = (width: number): SampleOptions => {
  const quota = Math.min(100, Math.max(40, Math.floor(2400 / width)))
  return {
    width,
    quota,
    quotas: { [NOVEL]: 4 * quota, [NOVEL + ANOMALOUS]: 4 * quota },
    mostGroups: 24,
    keep: { halfLifeUs: HOUR_US / 4 },
  }
}

/** A healthy asset's windows scatter by about one standard deviation per coordinate: they fit one micro-cluster. */
const microOptions = (width: number): MicroClusterOptions => ({
  width,
  most: MOST_MICRO_CLUSTERS,
  radius: 1.3 * Math.sqrt(width),
  halfLifeUs: 7 * DAY_US,
})

export class ClassState {
  readonly classId: string
  /** Of predictions; names the micro-clusters. */
  readonly partition: number
  space: ClassSpace | undefined
  /** All windows, and those of episodes alone. */
  micro: MicroClusters | undefined
  anomalous: MicroClusters | undefined
  sample: Sample | undefined
  windows = 0
  anomalousWindows = 0
  newestUs = Number.NEGATIVE_INFINITY
  /** Last full hour that was summarised. */
  hourUs = Number.NEGATIVE_INFINITY
  /** Digest of the model that the sample's groups are named by; empty: none. */
  groupedBy = ''
  assets = new Map<string, AssetInClass>()
  episodes: PlacedEpisode[] = []

  /** Names already worked out. */
  private named: { readonly digest: string; readonly ids: Map<number, string> } = { digest: '', ids: new Map() }

  constructor(classId: string, partition = 0) {
    this.classId = classId
    this.partition = partition
  }

  /**
   * The full hour that is behind once a window ends then; undefined while it is not a later one than before. To be asked before the window is
   * taken in: its summary has the windows that ended up to the hour.
   */
  hourBefore(windowEndUs: number): number | undefined {
    const hourUs = Math.floor((windowEndUs - 1) / HOUR_US) * HOUR_US
    if (this.windows === 0 || hourUs <= this.hourUs || hourUs <= Math.floor((this.newestUs - 1) / HOUR_US) * HOUR_US) return undefined
    return hourUs
  }

  /** Whether rows of this feature set belong here; a newer one begins the class anew, what is left of an older one is passed over. */
  enter(space: ClassSpace, windowEndUs: number): boolean {
    if (this.space !== undefined && isSameSpace(this.space, space)) return true
    // Other names of the same set come from the model that holds for the class: the partitions agree on its.
    const isOlder = this.space !== undefined && this.space.featureSetDigest !== space.featureSetDigest && windowEndUs <= this.newestUs
    if (isOlder) return false
    this.space = space
    this.micro = new MicroClusters(microOptions(space.names.length))
    this.anomalous = new MicroClusters(microOptions(space.names.length))
    this.sample = new Sample(sampleOptions(space.names.length))
    this.groupedBy = ''
    this.episodes = []
    return true
  }

  /** Takes a window in and returns its micro-cluster: its number on this partition and when it was opened. */
  absorb({ assetId, vectorId, windowEndUs, point, isAnomalous, modeId }: ClassWindow): {
    readonly number: number
    readonly openedUs: number
  } {
    const { micro, anomalous, sample } = this
    if (micro === undefined || anomalous === undefined || sample === undefined)
      throw new RangeError(`class ${this.classId} has no feature set`)
    const opening = micro.opening(micro.absorb(point, windowEndUs))
    if (isAnomalous) anomalous.absorb(point, windowEndUs)
    sample.offer({ rowId: rowIdOf(assetId, vectorId), group: groupOf(modeId, isAnomalous), timeUs: windowEndUs, values: point })
    this.windows++
    if (isAnomalous) this.anomalousWindows++
    this.newestUs = Math.max(this.newestUs, windowEndUs)
    this.watch(assetId, windowEndUs)
    return opening
  }

  /** Name of a micro-cluster of this partition. */
  clusterId(number: number): string {
    const digest = this.space?.featureSetDigest ?? ''
    if (this.named.digest !== digest || this.named.ids.size > 2 * MOST_MICRO_CLUSTERS) this.named = { digest, ids: new Map() }
    const { ids } = this.named
    const known = ids.get(number)
    if (known !== undefined) return known
    const id = uuid8('cluster', this.classId, this.partition, digest, number)
    ids.set(number, id)
    return id
  }

  keepEpisode(episode: PlacedEpisode): void {
    this.episodes.push(episode)
    if (this.episodes.length > MOST_EPISODES) this.episodes.shift()
  }

  /** The sample's rows in the groups that another model puts them in. */
  regroup(digest: string, modeOf: (values: Float64Array) => string | undefined): void {
    if (this.sample === undefined || this.groupedBy === digest) return
    const next = new Sample(this.sample.options)
    for (const row of this.sample.all()) next.offer({ ...row, group: groupOf(modeOf(row.values), isAnomalousGroup(row.group)) })
    this.sample = next
    this.groupedBy = digest
  }

  private watch(assetId: string, timeUs: number): void {
    const known = this.assets.get(assetId)
    const asset = known ?? { windows: 0, spans: [] }
    asset.windows++
    const last = asset.spans.at(-1)
    if (last !== undefined && timeUs - last[1] <= SPAN_GAP_US) last[1] = Math.max(last[1], timeUs)
    else {
      asset.spans.push([timeUs, timeUs])
      if (asset.spans.length > MOST_SPANS) asset.spans.shift()
    }
    if (known !== undefined) return
    this.assets.set(assetId, asset)
    if (this.assets.size <= MOST_ASSETS) return
    const stalest = [...this.assets].reduce((a, b) => (endOf(b[1]) < endOf(a[1]) ? b : a))
    this.assets.delete(stalest[0])
  }

  /** Everything but the sample: small, and the same after a restart to the last bit. */
  state(): string {
    return toPackedJson(this.head())
  }

  /** What only fits need: rows and episodes. */
  rows(): string {
    return toPackedJson({
      version: 1,
      featureSetDigest: this.space?.featureSetDigest,
      sample: this.sample?.state(),
      episodes: this.episodes,
    })
  }

  summary(partition: number, hourUs: number): string {
    return toPackedJson({ ...this.head(), hourUs, partition, sample: this.sample?.state(), episodes: this.episodes })
  }

  static restore(classId: string, text: string): ClassState {
    const head = fromPackedJson(text) as Head
    if (head.version !== 1) throw new RangeError(`state of class ${classId} has version ${String(head.version)}, expected 1`)
    const state = new ClassState(classId, head.partition)
    const { space } = head
    state.windows = head.windows
    state.anomalousWindows = head.anomalousWindows
    state.newestUs = head.newestUs ?? Number.NEGATIVE_INFINITY
    state.hourUs = head.hourUs ?? Number.NEGATIVE_INFINITY
    state.groupedBy = head.groupedBy
    state.assets = new Map(head.assets)
    if (space === undefined || head.micro === undefined || head.anomalous === undefined) return state
    state.space = space
    state.micro = MicroClusters.fromBytes(Buffer.from(head.micro, 'base64'))
    state.anomalous = MicroClusters.fromBytes(Buffer.from(head.anomalous, 'base64'))
    state.sample = new Sample(sampleOptions(space.names.length))
    return state
  }

  /** Rows are stored less often than the rest: some may be missing, and those of another feature set are left out. */
  restoreRows(text: string): void {
    const { featureSetDigest, sample, episodes } = fromPackedJson(text) as Rows
    if (this.space === undefined || featureSetDigest !== this.space.featureSetDigest || sample === undefined) return
    this.sample = new Sample(sampleOptions(this.space.names.length), sample)
    this.episodes = [...episodes]
    this.groupedBy = '' // rows may be older than the model: they are grouped anew
  }

  private head(): Head {
    return {
      version: 1,
      classId: this.classId,
      partition: this.partition,
      space: this.space,
      windows: this.windows,
      anomalousWindows: this.anomalousWindows,
      newestUs: Number.isFinite(this.newestUs) ? this.newestUs : null,
      hourUs: Number.isFinite(this.hourUs) ? this.hourUs : null,
      groupedBy: this.groupedBy,
      assets: [...this.assets],
      micro: this.micro && Buffer.from(this.micro.toBytes()).toString('base64'),
      anomalous: this.anomalous && Buffer.from(this.anomalous.toBytes()).toString('base64'),
    }
  }
}

interface Head {
  readonly version: 1
  readonly classId: string
  readonly partition: number
  readonly space: ClassSpace | undefined
  readonly windows: number
  readonly anomalousWindows: number
  readonly newestUs: number | null
  readonly hourUs: number | null
  readonly groupedBy: string
  readonly assets: readonly [string, AssetInClass][]
  /** Base64 of their bytes. */
  readonly micro: string | undefined
  readonly anomalous: string | undefined
}

interface Rows {
  readonly featureSetDigest: string | undefined
  readonly sample: SampleState | undefined
  readonly episodes: readonly PlacedEpisode[]
}

/** What one partition knew of a class at a full hour. */
export interface ClassSummary extends Omit<Head, 'space' | 'hourUs'>, Pick<Rows, 'sample' | 'episodes'> {
  readonly space: ClassSpace
  readonly hourUs: number
}

export const readSummary = (text: string): ClassSummary => {
  const summary = fromPackedJson(text) as ClassSummary
  if (summary.version !== 1) throw new RangeError(`a class summary of version ${String(summary.version)}, expected 1`)
  return summary
}

/** What a fit works on. */
export interface MergedClass {
  readonly classId: string
  readonly space: ClassSpace
  readonly windows: number
  readonly micro: MicroClusters
  readonly anomalous: MicroClusters
  readonly sample: Sample
  readonly episodes: readonly PlacedEpisode[]
  readonly assets: ReadonlyMap<string, AssetInClass>
}

/**
 * The summaries of all partitions as one, in partition order: the same whatever order they arrived in. Those of another feature set than the
 * newest one's are left out.
 */
export const mergeSummaries = (summaries: readonly ClassSummary[]): MergedClass => {
  const ordered = summaries.toSorted((a, b) => a.partition - b.partition)
  const newest = ordered.reduce<ClassSummary | undefined>((a, b) => (a === undefined || b.hourUs > a.hourUs ? b : a), undefined)
  if (newest === undefined) throw new RangeError('no summaries to merge')
  const { space, classId } = newest
  const merged = ordered.filter((summary) => isSameSpace(summary.space, space))
  const sample = new Sample(sampleOptions(space.names.length))
  for (const { sample: state } of merged) if (state !== undefined) sample.merge(new Sample(sample.options, state))
  const micro = (of: (summary: ClassSummary) => string | undefined): MicroClusters =>
    mergeAll(merged.flatMap((summary) => of(summary) ?? []).map((bytes) => MicroClusters.fromBytes(Buffer.from(bytes, 'base64'))))
  const assets = new Map<string, AssetInClass>()
  for (const { assets: of } of merged) {
    for (const [assetId, { windows, spans }] of of) {
      const known = assets.get(assetId)
      // An asset has one partition, unless the topic was repartitioned.
      assets.set(assetId, {
        windows: windows + (known?.windows ?? 0),
        spans: [...(known?.spans ?? []), ...spans].toSorted((a, b) => a[0] - b[0]),
      })
    }
  }
  return {
    classId,
    space,
    windows: merged.reduce((sum, { windows }) => sum + windows, 0),
    micro: micro((summary) => summary.micro),
    anomalous: micro((summary) => summary.anomalous),
    sample,
    episodes: merged
      .flatMap(({ episodes }) => episodes)
      .toSorted((a, b) => a.openedUs - b.openedUs || (a.episodeId < b.episodeId ? -1 : a.episodeId > b.episodeId ? 1 : 0)),
    assets,
  }
}

const isSameSpace = (a: ClassSpace, b: ClassSpace): boolean =>
  a.featureSetDigest === b.featureSetDigest &&
  (a.names === b.names || (a.names.length === b.names.length && a.names.every((name, i) => name === b.names[i])))

const rowIdOf = (assetId: string, vectorId: string): string => `${assetId}/${vectorId}`

export const assetOfRow = (rowId: string): string => rowId.slice(0, rowId.lastIndexOf('/'))

export const vectorOfRow = (rowId: string): string => rowId.slice(rowId.lastIndexOf('/') + 1)

const groupOf = (modeId: string | undefined, isAnomalous: boolean): string => (modeId ?? NOVEL) + (isAnomalous ? ANOMALOUS : '')

/** Whether the rows of a group were in episodes. */
export const isAnomalousGroup = (group: string): boolean => group.endsWith(ANOMALOUS)

const endOf = ({ spans }: AssetInClass): number => spans.at(-1)?.[1] ?? Number.NEGATIVE_INFINITY
