// plant.yaml: site, lines, assets with their channels, cameras, and where notices go.

import { z } from 'zod'
import { readDocument } from './read.ts'
import type { Fault, ReadOptions } from './read.ts'
import { equipmentClasses } from '../iso-14224.ts'

/** Lower-case words joined by hyphens. */
export const idShape = z.string().regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'an id of lower-case letters, digits and hyphens')
const name = z.string().min(1)
const range = z.tuple([z.number(), z.number()])
const timeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time of day such as 06:00')

/** How long samples are worth keeping: a hint to whoever stores them longer than the topic does, or less. */
const retentionDays = z.int().positive()

/** Rows that say nothing new are left out at the door: what the kept ones say of them is off by `bound` at most, in the channel's unit. */
const downsample = z.strictObject({
  method: z.enum(['dead-band', 'swinging-door']),
  bound: z.number().positive(),
  /** A row is kept at least this often, seconds of source time. */
  maxGapS: z.number().positive(),
})

const channel = z.discriminatedUnion('kind', [
  z.strictObject({
    id: name,
    unit: name,
    kind: z.literal('scalar'),
    range: range.optional(),
    /** Belongs to a safety function: it may be measured, and no command can name it. */
    safety: z.literal(true).optional(),
    retentionDays: retentionDays.optional(),
    downsample: downsample.optional(),
  }),
  z.strictObject({
    id: name,
    unit: name,
    kind: z.literal('waveform'),
    range: range.optional(),
    retentionDays: retentionDays.optional(),
    sampleRateHz: z.number().positive(),
    width: z.int().positive(),
  }),
])

/** Defect frequencies as multiples of the shaft frequency, or the geometry they follow from. */
const bearing = z.union(
  [
    z.strictObject({
      name,
      bpfoOrder: z.number().positive(),
      bpfiOrder: z.number().positive(),
      bsfOrder: z.number().positive(),
      ftfOrder: z.number().positive(),
    }),
    z.strictObject({
      name,
      balls: z.int().positive(),
      ballDiameterMm: z.number().positive(),
      pitchDiameterMm: z.number().positive(),
      contactAngleDeg: z.number().min(0).lt(90).default(0),
    }),
  ],
  'name and either bpfoOrder, bpfiOrder, bsfOrder and ftfOrder, or balls, ballDiameterMm, pitchDiameterMm and perhaps contactAngleDeg',
)

/** Upper limits of zones A, B and C of the velocity, mm/s RMS; or the group and support of ISO 20816-3 that give them. */
const zones = z.union(
  [
    z.strictObject({ limitsMmS: z.tuple([z.number().positive(), z.number().positive(), z.number().positive()]) }),
    z.strictObject({ group: z.union([z.literal(1), z.literal(2)]), support: z.enum(['rigid', 'flexible']) }),
  ],
  'either limitsMmS (upper limits of zones A, B and C), or group 1 or 2 and support rigid or flexible',
)

/** An address part that needs no quoting in an MQTT topic or a NATS subject. */
const topicPart = z.string().regex(/^[^\s/+#*>]+$/, 'text without spaces, slashes and wildcards')

/** How a line's control system is reached; commands name the same kind as their executor. */
const controlSystem = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('opcua'),
    endpoint: z.string().regex(/^opc\.tcp:\/\//, 'an address that starts with opc.tcp://'),
    object: name,
    simulated: z.boolean().default(false),
  }),
  z.strictObject({
    kind: z.literal('sparkplug'),
    broker: z.string().regex(/^mqtts?:\/\//, 'an address that starts with mqtt:// or mqtts://'),
    group: topicPart,
    node: topicPart,
    device: topicPart,
    simulated: z.boolean().default(false),
  }),
  /** An edge executor that answers on `<subject>.read`, `.command` and `.burn` of the mesh's NATS. */
  z.strictObject({ kind: z.literal('nats'), subject: topicPart, simulated: z.boolean().default(false) }),
])

const plantShape = z.strictObject({
  version: z.literal(1),
  site: z.strictObject({
    id: idShape,
    name,
    timezone: name,
    /** Clusters the site's data may reach (ANDON_CLUSTER of a process); without it, any. */
    clusters: z.array(idShape).min(1).optional(),
    /** Who is on when, in the site's time; a shift may run past midnight. Conditions of policies read them. */
    shifts: z
      .array(z.strictObject({ name: idShape, from: timeOfDay, to: timeOfDay }))
      .min(1)
      .optional(),
  }),
  lines: z
    .array(
      z.strictObject({
        id: idShape,
        name,
        area: idShape,
        controlGroup: idShape.optional(),
        controlSystem: controlSystem.optional(),
      }),
    )
    .min(1),
  assetClasses: z.array(
    z.strictObject({
      id: idShape,
      featureSet: z.string().regex(/^features\//, 'a name that starts with features/'),
      /** What decides about stops: its data still gets in when ingest is nearly full, and goes out first. */
      control: z.boolean().optional(),
      /** Equipment class of ISO 14224: says which failure modes its assets can show. */
      equipmentClass: z.enum(Object.keys(equipmentClasses)).optional(),
    }),
  ),
  assets: z.array(
    z.strictObject({
      id: idShape,
      name,
      line: idShape,
      class: idShape,
      /** Asset that it is a part of: findings about both at once are one alarm. */
      parent: idShape.optional(),
      /** As `control` of its class, for this asset alone. */
      priority: z.literal('control').optional(),
      /** Part of a safety function: no command acts on it. */
      safety: z.literal(true).optional(),
      origin: z.enum(['simulated', 'recording', 'live']).default('live'),
      sources: z.array(idShape).default([]),
      bearing: bearing.optional(),
      nominalSpeedRpm: z.number().positive().optional(),
      /** Channel with the measured speed of the shaft, per minute. */
      speedChannel: name.optional(),
      /** Channel whose samples are the pulses of a tacho: their times count. */
      tacho: z.strictObject({ channel: name, pulsesPerRev: z.int().positive().default(1) }).optional(),
      /** `shaftRatio`: turns of the gear's shaft per turn of the one whose speed is measured. */
      gears: z.array(z.strictObject({ name, teeth: z.int().positive(), shaftRatio: z.number().positive().default(1) })).optional(),
      zones: zones.optional(),
      channels: z.array(channel).min(1),
    }),
  ),
  cameras: z
    .array(
      z.strictObject({
        id: idShape,
        name,
        line: idShape,
        sees: z.array(idShape),
        origin: z.enum(['simulated', 'recording', 'live']).default('live'),
        scene: name.optional(),
        url: z.url(),
      }),
    )
    .default([]),
  notifications: z
    .strictObject({
      webhooks: z
        .array(z.strictObject({ id: idShape, url: z.url(), secretEnv: name, types: z.array(name).default([]), filter: name.optional() }))
        .default([]),
      smtp: z
        .strictObject({
          host: name,
          port: z.coerce.number().int().min(1).max(65_535),
          from: z.email(),
          to: z.array(z.email()).min(1),
        })
        .optional(),
      /** Who gets a mail when a notice says `to`; everybody of `smtp.to` where it says nothing. */
      groups: z.record(idShape, z.array(z.email()).min(1)).default({}),
      jobs: z.strictObject({ url: z.url() }).optional(),
    })
    .default({ webhooks: [], groups: {} }),
})

type PlantFile = z.output<typeof plantShape>
export type Plant = Omit<PlantFile, 'lines'> & { readonly lines: readonly Line[] }
/** A line; its control group is its own id unless the file says otherwise. */
export type Line = PlantFile['lines'][number] & { readonly controlGroup: string }
export type Asset = PlantFile['assets'][number]
export type Channel = Asset['channels'][number]
export type Camera = PlantFile['cameras'][number]

/** Reads a plant file. Ids are unique and every reference inside the file holds. */
export const parsePlant = (source: unknown, options: ReadOptions = {}): Plant => {
  const plant = readDocument(plantShape, source, { file: 'plant.yaml', ...options }, faults)
  return { ...plant, lines: plant.lines.map((line) => ({ ...line, controlGroup: line.controlGroup ?? line.id })) }
}

const faults = (plant: PlantFile): Fault[] => {
  const lines = new Set(plant.lines.map((line) => line.id))
  const classes = new Set(plant.assetClasses.map((assetClass) => assetClass.id))
  const assets = new Set(plant.assets.map((asset) => asset.id))
  const sources = plant.assets.flatMap((asset, i) => asset.sources.map((id, j) => ({ id, path: ['assets', i, 'sources', j] })))
  return [
    ...repeats(plant.lines, (i) => ['lines', i, 'id']),
    ...repeats(plant.assetClasses, (i) => ['assetClasses', i, 'id']),
    ...repeats(plant.assets, (i) => ['assets', i, 'id']),
    ...repeats(plant.cameras, (i) => ['cameras', i, 'id']),
    ...repeats(sources, (i) => sources[i]?.path ?? []),
    ...plant.assets.flatMap((asset, i) => [
      ...reference(lines, asset.line, ['assets', i, 'line'], 'a line'),
      ...reference(classes, asset.class, ['assets', i, 'class'], 'an asset class'),
      ...parentFaults(plant, asset, assets, ['assets', i, 'parent']),
      ...repeats(asset.channels, (j) => ['assets', i, 'channels', j, 'id']),
      ...asset.channels.flatMap((channel, j) => ordered(channel.range, ['assets', i, 'channels', j, 'range'])),
      ...scalarOf(asset, asset.speedChannel, ['assets', i, 'speedChannel']),
      ...scalarOf(asset, asset.tacho?.channel, ['assets', i, 'tacho', 'channel']),
      ...machineFaults(asset, ['assets', i]),
    ]),
    ...plant.cameras.flatMap((camera, i) => [
      ...reference(lines, camera.line, ['cameras', i, 'line'], 'a line'),
      ...camera.sees.flatMap((asset, j) => reference(assets, asset, ['cameras', i, 'sees', j], 'an asset')),
    ]),
  ]
}

const reference = (known: ReadonlySet<string>, id: string, path: Fault['path'], what: string): Fault[] =>
  known.has(id) ? [] : [{ path, expected: `${what} of this plant (${[...known].join(', ')})` }]

const parentFaults = (plant: PlantFile, asset: Asset, assets: ReadonlySet<string>, path: Fault['path']): Fault[] => {
  if (asset.parent === undefined) return []
  const parents = new Map(plant.assets.map(({ id, parent }) => [id, parent]))
  const seen = new Set<string>()
  for (let at: string | undefined = asset.parent; at !== undefined && !seen.has(at); at = parents.get(at)) {
    if (at === asset.id) return [{ path, expected: 'an asset that is not a part of this one' }]
    seen.add(at)
  }
  return reference(assets, asset.parent, path, 'an asset')
}

const scalarOf = (asset: Asset, id: string | undefined, path: Fault['path']): Fault[] => {
  const scalars = asset.channels.filter(({ kind }) => kind === 'scalar').map((channel) => channel.id)
  return id === undefined ? [] : reference(new Set(scalars), id, path, 'a scalar channel of the asset')
}

const machineFaults = ({ bearing: fitted, zones: judged, gears = [] }: Asset, path: Fault['path']): Fault[] => {
  const found: Fault[] = []
  if (fitted !== undefined && 'balls' in fitted && fitted.ballDiameterMm >= fitted.pitchDiameterMm)
    found.push({ path: [...path, 'bearing', 'ballDiameterMm'], expected: 'less than the pitch diameter, on which the balls run' })
  if (
    judged !== undefined &&
    'limitsMmS' in judged &&
    !(judged.limitsMmS[0] < judged.limitsMmS[1] && judged.limitsMmS[1] < judged.limitsMmS[2])
  )
    found.push({ path: [...path, 'zones', 'limitsMmS'], expected: 'rising limits: of zone A, then B, then C' })
  gears.forEach((gear, i) => {
    if (gears.findIndex((each) => each.name === gear.name) < i)
      found.push({ path: [...path, 'gears', i, 'name'], expected: 'a name that is used once' })
  })
  return found
}

const repeats = (items: readonly { readonly id: string }[], path: (index: number) => Fault['path']): Fault[] => {
  const seen = new Set<string>()
  return items.flatMap((item, index) => {
    if (seen.has(item.id)) return [{ path: path(index), expected: 'an id that is used once' }]
    seen.add(item.id)
    return []
  })
}

const ordered = (bounds: readonly [number, number] | undefined, path: Fault['path']): Fault[] =>
  bounds === undefined || bounds[0] < bounds[1] ? [] : [{ path, expected: 'a low end below the high end' }]
