// The plant's documents on `config`, as this service needs them: lines, commands, policies, cameras, where notices go.

import { followTopic } from '@andon/kit'
import type { TeachingPlace } from '@andon/decisions'
import type { Codec, Follow, Log, Logger, Part } from '@andon/kit'
import { parseBoundary, parseCommands, parsePlant, parsePolicy } from '@andon/schemas'
import type { Boundary, CommandDefinition, Commands, Config, Line, Plant, Policy } from '@andon/schemas'

export interface LoadedPolicy {
  readonly policy: Policy
  readonly digest: string
}

/** Newest valid documents; what does not parse is reported and the one before stays. */
export class PlantView {
  plant: Plant | null = null
  catalogue: Commands | null = null
  commands: ReadonlyMap<string, CommandDefinition> = new Map()
  readonly policies = new Map<string, LoadedPolicy>()
  readonly boundaries = new Map<string, Boundary>()
  /** Documents whose newest version could not be read: what is in force is not what was published. */
  readonly unread = new Set<string>()
  /** Digest and time of every document seen, whatever its kind. */
  readonly published = new Map<string, { readonly digest: string; readonly atUs: number }>()
  private controlGroups = new Map<string, string>()
  private parents = new Map<string, string | undefined>()
  private readonly onProblem: (name: string, problem: unknown) => void

  constructor(onProblem: (name: string, problem: unknown) => void = () => {}) {
    this.onProblem = onProblem
  }

  apply(record: Config): void {
    const { name, digest, atUs } = record
    if (record.type === 'ConfigRetired') {
      this.published.delete(name)
      this.policies.delete(name)
      this.boundaries.delete(name)
      this.unread.delete(name)
      return
    }
    this.published.set(name, { digest, atUs })
    try {
      this.load(record)
      this.unread.delete(name)
    } catch (problem) {
      this.unread.add(name)
      this.onProblem(name, problem)
    }
  }

  private load({ name, body, digest }: Config): void {
    if (name === 'plant') {
      this.plant = parsePlant(JSON.parse(body))
      const groups = new Map(this.plant.lines.map((line) => [line.id, line.controlGroup]))
      this.parents = new Map(this.plant.assets.map(({ id, parent }) => [id, parent]))
      this.controlGroups = new Map(this.plant.assets.map((asset) => [asset.id, groups.get(asset.line) ?? asset.line]))
    } else if (name === 'commands') {
      this.catalogue = parseCommands(JSON.parse(body))
      this.commands = new Map(this.catalogue.commands.map((command) => [command.name, command]))
    } else if (name.startsWith('policies/')) {
      this.policies.set(name, { policy: parsePolicy(JSON.parse(body)), digest })
    } else if (name.startsWith('boundaries/')) {
      this.boundaries.set(name, parseBoundary(JSON.parse(body)))
    }
  }

  /** Key of `actions` for what is said of an asset class: the control group of its first asset by id. One place per class. */
  homeOf(classId: string): string | undefined {
    const assets = (this.plant?.assets ?? []).filter((asset) => asset.class === classId).map(({ id }) => id)
    const [first] = assets.toSorted()
    return first === undefined ? undefined : this.controlGroupOf(first)
  }

  /** Class of an asset, and what ISO 14224 calls its equipment. */
  placeOf(assetId: string): TeachingPlace | undefined {
    const asset = this.plant?.assets.find(({ id }) => id === assetId)
    const ofPlant = this.plant?.assetClasses.find(({ id }) => id === asset?.class)
    return asset && { classId: asset.class, equipmentClass: ofPlant?.equipmentClass }
  }

  /** Asset that this one is a part of. */
  parentOf(assetId: string): string | undefined {
    return this.parents.get(assetId)
  }

  /** Key of `actions` for everything about this asset. */
  controlGroupOf(assetId: string): string | undefined {
    return this.controlGroups.get(assetId)
  }

  lineOf(assetId: string): Line | undefined {
    const asset = this.plant?.assets.find((one) => one.id === assetId)
    return this.plant?.lines.find((line) => line.id === asset?.line)
  }

  /** The line of an incident as the plant file names it; its control group where nothing does. */
  lineIdOf(incident: { readonly assetId: string | null; readonly line: string }): string {
    return (incident.assetId === null ? undefined : this.lineOf(incident.assetId))?.id ?? this.line(incident.line)?.id ?? incident.line
  }

  line(lineId: string): Line | undefined {
    return this.plant?.lines.find((line) => line.id === lineId || line.controlGroup === lineId)
  }

  camerasOf(assetId: string): string[] {
    return (this.plant?.cameras ?? []).filter((camera) => camera.sees.includes(assetId)).map((camera) => camera.id)
  }

  camerasOfLine(lineId: string): string[] {
    return (this.plant?.cameras ?? []).filter((camera) => camera.line === lineId).map((camera) => camera.id)
  }
}

export interface PlantPart extends Part {
  readonly view: PlantView
  /** True once everything on `config` at the start has been read. */
  isRead(): boolean
}

/**
 * Follows `config`. Not through the kit's document reader, because publishing needs to know when each document was
 * published, not only what it says.
 */
export const plantPart = (log: Log, codec: Codec, logger: Logger, onChange: (view: PlantView) => void): PlantPart => {
  const view = new PlantView((name, problem) =>
    logger.error({ err: problem, document: name }, 'document is not valid: the one before stays in force'),
  )
  let follow: Follow | undefined
  let isRead = false
  return {
    name: 'plant',
    view,
    isRead: () => isRead,
    async start() {
      follow = await followTopic<Config>(log, codec, 'config', (input) => {
        view.apply(input.value)
        if (isRead) onChange(view)
      })
      await follow.caughtUp()
      isRead = true
      onChange(view)
    },
    ready: () => isRead || 'reading config',
    ended: () => follow?.ended ?? Promise.resolve(),
    stop: async () => follow?.stop(),
  }
}
