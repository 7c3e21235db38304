// Which plan a preview runs: the feature set for the asset of a plant file, or for one whose channels are the columns of the file.

import { readFileSync } from 'node:fs'
import { canonicalJson, sha256Hex } from '@andon/kit'
import { AndonError, messageOf } from '@andon/kit/errors'
import { type FeatureSet, nearest, parseFeatureSet, parsePlant } from '@andon/schemas'
import { FeatureSetError, compileFeatureSet } from '../feature-set.ts'
import type { PlantAsset } from '../feature-set.ts'
import type { AssetPlan } from '../plan.ts'
import { type BlockLayout, type RecordedColumn, type Recording, SOURCE } from './recording.ts'

export interface ChannelOptions {
  readonly plant?: string | undefined
  readonly asset?: string | undefined
  /** Without a plant file: columns that are waveforms, of this rate, so many elements per row. */
  readonly waveforms?: readonly string[] | undefined
  readonly sampleRateHz?: number | undefined
  readonly width?: number | undefined
}

export interface PreviewPlan {
  readonly plan: AssetPlan
  readonly layouts: readonly BlockLayout[]
  /** Channels of the plant file that the file has no column for. */
  readonly absent: readonly string[]
}

const usage = (message: string): AndonError => new AndonError('ANDON_FEATURES_PREVIEW', message, { status: 400 })

const textOf = (option: string, file: string): string => {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw usage(`${option} ${file}: ${messageOf(error)}`)
  }
}

/** Compiles the set; what does not fit is an error that names file and line, what was found and the nearest known name. */
export const previewPlan = (setFile: string, recording: Recording, options: ChannelOptions): PreviewPlan => {
  const text = textOf('--set', setFile)
  const set = parseFeatureSet(text, { file: setFile })
  const described = options.plant === undefined ? fromColumns(recording, options) : fromPlant(options.plant, recording, options)
  // Rows of a file come from one source of each layout; windows wait for both.
  const asset: PlantAsset = { ...described.asset, sources: described.layouts.map(({ sourceId }) => sourceId) }
  const digest = sha256Hex(canonicalJson(set))
  try {
    return { plan: compileFeatureSet(set, digest, asset, ''), layouts: described.layouts, absent: described.absent }
  } catch (error) {
    if (!(error instanceof FeatureSetError)) throw error
    const line = lineOf(text, failing(set, digest, asset))
    throw usage(`${setFile}${line === undefined ? '' : `:${line}`}: ${error.message}`)
  }
}

interface Described {
  readonly asset: PlantAsset
  readonly layouts: readonly BlockLayout[]
  readonly absent: readonly string[]
}

const fromPlant = (file: string, recording: Recording, { asset: assetId }: ChannelOptions): Described => {
  const plant = parsePlant(textOf('--plant', file), { file })
  const ids = plant.assets.map(({ id }) => id)
  if (assetId === undefined) throw usage(`--asset is missing: which asset of ${file}? It has ${ids.join(', ')}.`)
  const asset = plant.assets.find(({ id }) => id === assetId)
  if (asset === undefined) throw usage(`--asset ${assetId}: ${file} has no such asset; the nearest is ${nearest(assetId, ids)}.`)
  const columnOf = (id: string, unit: string): RecordedColumn[] => {
    const column = recording.columns.find(({ name }) => name === id)
    return column === undefined ? [] : [{ ...column, unit }]
  }
  const layouts = new Map<string, BlockLayout & { channels: RecordedColumn[] }>()
  for (const channel of asset.channels) {
    const [width, sampleRateHz] = channel.kind === 'waveform' ? [channel.width, channel.sampleRateHz] : [1, null]
    const key = `${width} ${sampleRateHz}`
    const layout = layouts.get(key) ?? {
      channels: [],
      width,
      sampleRateHz,
      sourceId: layouts.size === 0 ? SOURCE : `${SOURCE}-${layouts.size + 1}`,
    }
    layout.channels.push(...columnOf(channel.id, channel.unit))
    layouts.set(key, layout)
  }
  const absent = asset.channels.map(({ id }) => id).filter((id) => !recording.columns.some(({ name }) => name === id))
  const found = [...layouts.values()].filter(({ channels }) => channels.length > 0)
  if (found.length === 0) {
    const names = recording.columns.map(({ name }) => name)
    throw usage(`No column of the file is called like a channel of ${assetId}: found ${names.join(', ')}, expected ${absent.join(', ')}.`)
  }
  return { asset, layouts: found, absent }
}

const fromColumns = (recording: Recording, { waveforms, sampleRateHz, width = 2048 }: ChannelOptions): Described => {
  const names = recording.columns.map(({ name }) => name)
  for (const name of waveforms ?? [])
    if (!names.includes(name)) throw usage(`--waveform ${name}: the file has no such column; the nearest is ${nearest(name, names)}.`)
  if (waveforms !== undefined && waveforms.length > 0 && sampleRateHz === undefined)
    throw usage('--waveform needs --sample-rate <Hz> beside it.')
  const isWaveform = (name: string): boolean => (waveforms === undefined ? sampleRateHz !== undefined : waveforms.includes(name))
  const of = (isWave: boolean): RecordedColumn[] => recording.columns.filter(({ name }) => isWaveform(name) === isWave)
  const layouts: BlockLayout[] = [
    { channels: of(false), width: 1, sampleRateHz: null, sourceId: SOURCE },
    { channels: of(true), width, sampleRateHz: sampleRateHz ?? null, sourceId: `${SOURCE}-waveform` },
  ].filter(({ channels }) => channels.length > 0)
  const asset: PlantAsset = {
    id: 'recording',
    name: 'recording',
    line: 'preview',
    class: 'preview',
    origin: 'recording',
    sources: [],
    gears: [],
    channels: recording.columns.map(({ name: id, unit }) =>
      isWaveform(id) ? { id, unit, kind: 'waveform', sampleRateHz: sampleRateHz as number, width } : { id, unit, kind: 'scalar' },
    ),
  }
  return { asset, layouts, absent: [] }
}

/** Index of the first rule that does not fit the asset by itself; undefined when the fault lies elsewhere. */
const failing = (set: FeatureSet, digest: string, asset: PlantAsset): number | undefined => {
  const at = set.features.findIndex((rule) => {
    try {
      compileFeatureSet({ ...set, features: [rule], regimes: [] }, digest, asset, '')
      return false
    } catch {
      return true
    }
  })
  return at < 0 ? undefined : at
}

/** Line of a rule: the items of the list below `features:`. Without a rule the line of `regimes:`, where it is. */
const lineOf = (text: string, rule: number | undefined): number | undefined => {
  const lines = text.split('\n')
  if (rule === undefined) {
    const at = lines.findIndex((line) => line.startsWith('regimes:'))
    return at < 0 ? undefined : at + 1
  }
  const start = lines.findIndex((line) => line.startsWith('features:'))
  const indent =
    lines
      .slice(start + 1)
      .find((line) => /^\s*- /.test(line))
      ?.indexOf('-') ?? 0
  let seen = -1
  for (let at = start + 1; at < lines.length; at++) {
    if (/^\S/.test(lines[at] as string) && !(lines[at] as string).startsWith('-') && !(lines[at] as string).startsWith('#')) break
    if ((lines[at] as string).startsWith(`${' '.repeat(indent)}- `) && ++seen === rule) return at + 1
  }
  return undefined
}
