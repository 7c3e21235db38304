// What a door that pulls is opened with in a test: source files and assignment that the test changes, and an intake it reads.

import assert from 'node:assert/strict'
import { AndonError, createLogger, createMetrics } from '@andon/kit'
import type { Metrics } from '@andon/kit'
import { parseSource } from '@andon/schemas'
import type { PlantSource } from '@andon/schemas'
import type { Delivery, Intake } from '../src/adapters/source.ts'
import type { DoorContext } from '../src/doors.ts'

/** One value as it came in. */
export interface Taken {
  readonly source: string
  readonly channel: string
  readonly value: number | null
  readonly timeUs: number
  readonly quality: number
}

export interface PullRig {
  readonly context: DoorContext
  readonly intake: Intake
  readonly metrics: Metrics
  readonly taken: Taken[]
  /** Codes and messages of what a door could make no reading of. */
  readonly refused: { readonly code: string; readonly message: string }[]
  /** Warnings and worse, as they were logged. */
  readonly warnings: string[]
  /** Deliveries that are turned away from now on. */
  refuseNext: number
  isMine: (id: string) => boolean
  setFiles(files: readonly unknown[]): void
  metric(name: string): Promise<number>
}

export const openPullRig = (dataDir: string, instance = 'ingest-0'): PullRig => {
  let files: PlantSource[] = []
  const listeners = new Set<() => void>()
  const metrics = createMetrics('ingest')
  const warnings: string[] = []
  const logger = createLogger({ service: 'ingest', level: 'silent' })
  const tell = (_fields: unknown, message: string) => void warnings.push(message)
  const follow = (listener: () => void) => {
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }
  const rig: PullRig = {
    context: {
      config: { dataDir, instance },
      logger: Object.assign(logger, { warn: tell, error: tell }),
      metrics,
      sources: { of: (kind: string) => files.filter((file) => file.kind === kind), onChange: follow },
      assignment: { isMine: (id: string) => rig.isMine(id), onChange: follow },
    } as unknown as DoorContext,
    intake: async (delivery: Delivery) => {
      await Promise.resolve()
      assert.ok('readings' in delivery)
      if (rig.refuseNext > 0) {
        rig.refuseNext--
        throw new AndonError('ANDON_INGEST_SPOOL_FULL', 'full', { retriable: true })
      }
      for (const { value, refused } of delivery.readings) {
        if (refused !== undefined) rig.refused.push({ code: refused.code, message: refused.message })
        else {
          const { source, timeUs, quality, values } = value as Reading
          for (const [channel, each] of Object.entries(values)) rig.taken.push({ source, channel, value: each, timeUs, quality })
        }
      }
      return { accepted: delivery.readings.length, duplicates: 0, quarantined: [] }
    },
    metrics,
    taken: [],
    refused: [],
    warnings,
    refuseNext: 0,
    isMine: () => true,
    setFiles: (next) => {
      files = next.map((file) => parseSource(file))
      for (const listener of listeners) listener()
    },
    metric: async (name) => {
      const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith(name) && !line.startsWith('#'))
      return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
    },
  }
  return rig
}

interface Reading {
  readonly source: string
  readonly timeUs: number
  readonly quality: number
  readonly values: Readonly<Record<string, number | null>>
}
