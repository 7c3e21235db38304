// The read door: episodes and patterns of the assets this instance is responsible for, and fault modes of all classes, as they are now.

import { AndonError, notFoundHandler, problemHandler, requireRole } from '@andon/kit'
import type { Logger, Principals } from '@andon/kit'
import express from 'express'
import type { Express } from 'express'
import type { AssetState, PartitionMemory } from './asset-state.ts'
import type { Episode } from './episode.ts'
import type { ClassModels, LoadedModel } from './class-models.ts'
import type { ModeFacts } from './class-model.ts'
import { rowOf } from './matrix.ts'
import { currentIdOf } from './modes/identity.ts'
import type { Teachings } from './teachings.ts'

export interface ReadDoor {
  readonly principals: () => Principals
  /** Memories of the partitions assigned now. */
  readonly memories: () => Iterable<PartitionMemory>
  readonly detectorSet: string
  /** Fault modes in force, of all classes. */
  readonly models: ClassModels
  readonly teachings: () => Teachings
  /** Class of an asset now. */
  readonly classOf: (assetId: string) => string
  /** Why the last fit of a class that this instance fits was refused. */
  readonly refusalOf: (classId: string) => string | null
  readonly logger: Logger
}

export const readDoor = (door: ReadDoor): Express => {
  const app = express()
  app.disable('x-powered-by')
  app.use((request, response, next) => requireRole(door.principals())(request, response, next))

  app.get('/v1/episodes', (request, response) => {
    const onlyOpen = request.query['open'] === 'true'
    const episodes = assets(door).flatMap(([assetId, state]) => episodesOf(assetId, state, onlyOpen))
    response.json({ detectorSet: door.detectorSet, episodes: episodes.toSorted((a, b) => b.openedUs - a.openedUs) })
  })

  app.get('/v1/clusters/:asset', (request, response) => {
    const found = assets(door).find(([assetId]) => assetId === request.params.asset)
    if (found === undefined) {
      throw new AndonError('ANDON_CLUSTERING_ASSET_UNKNOWN', `No window of asset ${request.params.asset} was judged by this instance`, {
        status: 404,
      })
    }
    const [assetId] = found
    const classId = door.classOf(assetId)
    response.json({ assetId, classId, ...clustersOf(door, classId) })
  })

  app.get('/v1/fault-modes', async (request, response) => {
    const asked = request.query['class']
    const classes = typeof asked === 'string' ? [asked] : door.models.classes()
    const found = await Promise.all(
      classes.map(async (classId) => {
        const loaded = await door.models.newest(classId)
        return loaded === undefined ? [] : [classView(door, loaded)]
      }),
    )
    response.json({ classes: found.flat() })
  })

  app.get('/v1/fault-modes/:id', async (request, response) => {
    const modeId = request.params.id
    for (const classId of door.models.classes()) {
      const loaded = await door.models.newest(classId)
      const view = loaded && modeView(door, loaded, modeId)
      if (view === undefined) continue
      response.json(view)
      return
    }
    throw new AndonError('ANDON_CLUSTERING_FAULT_MODE_UNKNOWN', `No class has or had a fault mode ${modeId}`, { status: 404 })
  })

  app.use(notFoundHandler)
  app.use(problemHandler(door.logger))
  return app
}

/** Micro-clusters of the class on the partitions of this instance. */
const clustersOf = (door: ReadDoor, classId: string) => {
  const states = [...door.memories()].flatMap(({ classes }) => classes.get(classId) ?? [])
  return {
    featureSetDigest: states[0]?.space?.featureSetDigest ?? null,
    names: states[0]?.space?.names ?? [],
    clusters: states.flatMap((state) => {
      const { micro } = state
      if (micro === undefined) return []
      const { centres, weights, spreads, openedUs, lastUs } = micro.centres()
      return Array.from(weights, (weight, i) => ({
        clusterId: state.clusterId(micro.opening(i).number),
        openedUs: openedUs[i],
        lastUs: lastUs[i],
        weight,
        radius: spreads[i],
        centre: [...rowOf(centres, i)],
      }))
    }),
  }
}

const classView = (door: ReadDoor, loaded: LoadedModel) => {
  const { model, digest } = loaded
  return {
    classId: model.classId,
    modelDigest: digest,
    hourUs: model.hourUs,
    windows: model.windows,
    measures: model.measures,
    agreement: model.agreement,
    lastRefusal: door.refusalOf(model.classId),
    modes: model.modes.map((mode) => modeFacts(door, loaded, mode)),
  }
}

const modeFacts = (door: ReadDoor, { model }: LoadedModel, mode: ModeFacts) => ({
  ...mode,
  classId: model.classId,
  name: door.teachings().nameOf(mode.modeId),
  standing: door.teachings().standingOf(mode.modeId),
  /** Rows of the last sample that showed it. */
  mass: model.registry.modes.find(({ modeId }) => modeId === mode.modeId)?.mass ?? 0,
})

/** A mode as it is, or what became of it; undefined where the class never had it. */
const modeView = (door: ReadDoor, loaded: LoadedModel, modeId: string) => {
  const { model } = loaded
  const mode = model.modes.find((each) => each.modeId === modeId)
  const retired = model.registry.retired.find((each) => each.modeId === modeId)
  if (mode === undefined && retired === undefined) return undefined
  const named = { modeId, classId: model.classId, name: door.teachings().nameOf(modeId), standing: door.teachings().standingOf(modeId) }
  return {
    ...(mode === undefined ? named : modeFacts(door, loaded, mode)),
    isActive: mode !== undefined,
    /** Where it leads today. */
    currentId: currentIdOf(model.registry, modeId) ?? null,
    note: door.teachings().noteOf(modeId) ?? null,
    history: model.history.filter(
      (past) =>
        past.modeId === modeId ||
        (past.type === 'absorbed' && past.intoId === modeId) ||
        (past.type === 'split' && past.children.some((child) => child.modeId === modeId)),
    ),
  }
}

const assets = (door: ReadDoor): [string, AssetState][] =>
  [...door.memories()].flatMap(({ assets: states }) => [...states]).toSorted(([a], [b]) => (a < b ? -1 : 1))

const episodesOf = (assetId: string, { machine, closed }: AssetState, onlyOpen: boolean) => {
  const open = machine.episode === null ? [] : [view(assetId, machine.episode, null)]
  return onlyOpen ? open : [...open, ...closed.map(({ episode, closedUs }) => view(assetId, episode, closedUs))]
}

const view = (assetId: string, episode: Episode, closedUs: number | null) => ({
  episodeId: episode.episodeId,
  assetId,
  isOpen: closedUs === null,
  severity: episode.severity,
  peakRatio: episode.peakRatio,
  windows: episode.windows,
  openedUs: episode.openedUs,
  closedUs,
  openingVectorId: episode.openingVectorId,
  historical: episode.historical,
})
