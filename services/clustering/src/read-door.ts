// The read door: episodes and patterns of the assets this instance is responsible for, as they are now.

import { AndonError, notFoundHandler, problemHandler, requireRole } from '@andon/kit'
import type { Logger, Principals } from '@andon/kit'
import express from 'express'
import type { Express } from 'express'
import type { AssetState, PartitionMemory } from './asset-state.ts'
import type { DetectorSet } from './detector-set.ts'
import type { Episode } from './episode.ts'
import { radius } from './micro-clusters.ts'

export interface ReadDoor {
  readonly principals: () => Principals
  /** Memories of the partitions assigned now. */
  readonly memories: () => Iterable<PartitionMemory>
  readonly set: DetectorSet
  readonly detectorSet: string
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
    const [assetId, { space }] = found
    response.json({
      assetId,
      space: space.space,
      clusters: space.clusters.map((cluster) => ({
        clusterId: cluster.clusterId,
        openedUs: cluster.openedUs,
        lastUs: cluster.lastUs,
        weight: cluster.weight,
        radius: radius(cluster, cluster.centre.length, door.set.clusters),
        anomalousWindows: cluster.anomalousWindows,
        isFaultMode: cluster.isAnnounced,
        centre: cluster.centre,
      })),
    })
  })

  app.use(notFoundHandler)
  app.use(problemHandler(door.logger))
  return app
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
