// actions → actions. Every incident that a finding opened: its inputs are stored under the incident's hold, then the owner is asked
// to say so (SealRequested → IncidentSealed). A repeat asks for the same again; nothing in an incident waits for it.

import { setTimeout as sleep } from 'node:timers/promises'
import {
  AndonError,
  emitter,
  isRetriable,
  manifestBytes,
  messageOf,
  openBlobs,
  openHistoryBlobs,
  runProcess,
  sealManifest,
  uuid8,
} from '@andon/kit'
import type { Batch, Blobs, Codec, Emitter, Handler, Input, Log, Logger, Metrics, Part, Run, SealManifest } from '@andon/kit'
import { record } from '@andon/decisions'
import type { Actions, Seal } from '@andon/schemas'
import { ACTIONS } from '../actions-log.ts'
import { DigestIndex } from './digest-index.ts'
import { followLineage } from './follow-lineage.ts'
import type { LineageDeps, Opened } from './follow-lineage.ts'

/** A fact fits into a record: the whole list is in the manifest. */
const MOST_LISTED = 1_000
/** Of its time: a flood of incidents is sealed later, and decisions in the same process do not wait for it. */
const SHARE = 0.2
const MOST_REST_MS = 1_000

export interface SealerOptions {
  readonly log: Log
  readonly codec: Codec
  readonly blobDir: string
  readonly maxBytes: number
  readonly logger: Logger
  readonly metrics: Metrics
}

/** Stores what an incident's finding was made of. What its hold already keeps stays as it was sealed. */
export const sealIncident = async (deps: LineageDeps, opened: Opened): Promise<Seal> => {
  const { blobs } = deps
  const { fact, finding } = opened
  const incidentId = fact.incidentId ?? ''
  const [known] = (await blobs.held(incidentId)) ?? []
  if (known !== undefined && (await blobs.has(known)))
    return sealOf(known, JSON.parse((await blobs.get(known)).toString('utf8')) as SealManifest)
  const { items, gaps } = await followLineage(deps, opened)
  const manifest = sealManifest({ incidentId, findingId: finding.findingId, line: fact.line, assetId: finding.assetId, items, gaps })
  const { uri } = await blobs.put(manifestBytes(manifest))
  await blobs.hold(incidentId, [uri, ...manifest.items.map(({ digest }) => `sha256:${digest}`)])
  return sealOf(uri, manifest)
}

const sealOf = (uri: string, { findingId, items, gaps }: SealManifest): Seal => ({
  digest: uri.slice('sha256:'.length),
  findingId,
  itemCount: items.length,
  bytes: items.reduce((sum, { bytes }) => sum + bytes, 0),
  items: items.slice(0, MOST_LISTED),
  gaps: gaps.slice(0, MOST_LISTED),
})

/** Why a record opens nothing that could be sealed is not asked: calls have no finding. */
const openedBy = ({ value, partition, position, timestampMs }: Input<Actions>): Opened | undefined => {
  const { type, finding, incidentId } = value
  if (type !== 'IncidentOpened' || finding === null || incidentId === null) return undefined
  return { fact: value, finding, partition, offset: position.offset, timestampMs }
}

const onActions =
  (seal: (opened: Opened) => Promise<Seal>, stopping: AbortSignal): Handler<Actions> =>
  async (batch: Batch<Actions>): Promise<Emitter> => {
    const out = emitter()
    for (const input of batch.inputs) {
      const opened = openedBy(input)
      if (!opened) continue
      const { line, incidentId, assetId, atUs } = opened.fact
      const startedMs = performance.now()
      const sealed = await seal(opened)
      const restMs = Math.min(MOST_REST_MS, (performance.now() - startedMs) * (1 / SHARE - 1))
      await sleep(restMs, undefined, { signal: stopping }).catch(() => undefined)
      const id = uuid8('request', 'seal', incidentId ?? '', sealed.digest)
      const value = record('SealRequested', id, line, atUs, { by: 'sealer', incidentId, assetId, seal: sealed })
      out.emit(input, { topic: ACTIONS, key: line, value, id, type: value.type, subject: incidentId ?? line, timeUs: atUs })
    }
    return out
  }

export const sealerPart = ({ log, codec, blobDir, maxBytes, logger, metrics }: SealerOptions): Part => {
  const seals = metrics.counter('andon_actions_seals_total', 'Incidents whose inputs were stored', ['outcome'])
  const sealedBytes = metrics.counter('andon_actions_sealed_bytes_total', 'Bytes of sealed inputs')
  const seconds = metrics.histogram('andon_actions_seal_seconds', 'From an opened incident read to its inputs stored')
  const stopping = new AbortController()
  let run: Run | undefined
  const history = (): Promise<Blobs> => openHistoryBlobs(blobDir)
  return {
    name: 'sealer',
    async start() {
      const deps = { log, codec, blobs: await openBlobs(blobDir), history, index: new DigestIndex(log, codec), maxBytes }
      const seal = async (opened: Opened): Promise<Seal> => {
        const startedMs = performance.now()
        try {
          const sealed = await sealIncident(deps, opened)
          seals.inc({ outcome: sealed.gaps.length === 0 ? 'complete' : 'gaps' })
          sealedBytes.inc(sealed.bytes)
          seconds.observe((performance.now() - startedMs) / 1000)
          return sealed
        } catch (cause) {
          if (isRetriable(cause)) throw cause
          const incident = `incident ${opened.fact.incidentId}`
          throw new AndonError('ANDON_ACTIONS_SEAL_FAILED', `The inputs of ${incident} could not be stored: ${messageOf(cause)}`, {
            cause,
            retriable: true,
          })
        }
      }
      const handle = onActions(seal, stopping.signal)
      run = await runProcess<Actions>(
        log,
        codec,
        // what is sealed is asked for at once, not after a batch of others
        { service: 'actions', group: 'actions.sealer', input: ACTIONS, open: () => ({ handle }), maxBatchRecords: 20 },
        { logger, metrics },
      )
    },
    ended: () => run?.ended ?? Promise.resolve(),
    stop: async () => {
      stopping.abort()
      await run?.stop()
    },
  }
}
