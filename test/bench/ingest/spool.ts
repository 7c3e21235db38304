// ingest-spool: what an acknowledgement costs beyond the disk. Entries of a block's size go through the spool in groups, each safe before the
// next begins; beside it the same bytes are written and synced as one buffer a group, by nothing but Node's own file calls.

import { mkdtempSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDisk } from '../../../services/ingest/src/adapters/disk.ts'
import { openSpool } from '../../../services/ingest/src/adapters/spool.ts'
import type { SpoolRef } from '../../../services/ingest/src/adapters/spool.ts'
import { type Contender, costsPerWork, inProcess, ratio, run } from '../../harness/bench.ts'
import { type Measurement, rounded } from '../../harness/bench-measurement.ts'
import type { Benchmark } from '../benchmark.ts'

const SAMPLES = 20
const SAMPLE_MS = 400
const GROUP = 128
const HEAD_BYTES = 300
const VALUE_BYTES = 700
const FRAME_BYTES = 12
/** How many groups are kept, as they are until the brokers have flushed them. */
const HELD_GROUPS = 300
const SEGMENT_BYTES = 16 * 1024 * 1024

export const ingestSpool: Benchmark = {
  name: 'ingest-spool',
  ids: ['ingest-spool', 'ingest-spool-cpu'],
  run: async ({ samples = SAMPLES }) => {
    const folder = mkdtempSync(join(tmpdir(), 'andon-spool-bench-'))
    try {
      const race = await run({
        id: 'ingest-spool',
        judge: 'wall',
        sampleMs: SAMPLE_MS,
        samples,
        ours: () => spooling(folder),
        peers: { plain: () => writing(folder) },
      })
      const wallUs = Math.min(...costsPerWork(race.ours, 'wall'))
      const cpuUs = Math.min(...costsPerWork(race.ours, 'cpu'))
      const detail = {
        work: `${GROUP} entries of ${HEAD_BYTES + VALUE_BYTES} bytes a group, one group at a time`,
        entriesPerS: rounded(1e6 / wallUs),
        megabytesPerS: rounded((HEAD_BYTES + VALUE_BYTES) / wallUs),
        cpuUsPerEntry: rounded(cpuUs),
      }
      const perCpu: Measurement = {
        id: 'ingest-spool-cpu',
        score: rounded(10 / cpuUs),
        value: rounded(cpuUs),
        required: 10,
        unit: 'µs of CPU an entry, CRC-32C, copy, write and sync included',
        samples: race.ours.length,
        detail: {},
        isLimit: true,
      }
      return [ratio(race, { id: 'ingest-spool', peer: 'plain', required: 0.8, unit: 'of plain write and fdatasync', detail }), perCpu]
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

let folders = 0

const spooling = async (parent: string): Promise<Contender> => {
  const limits = { maxBytes: 1 << 30, segmentBytes: SEGMENT_BYTES, segmentMs: 30_000 }
  const disk = await openDisk(join(parent, String(++folders)))
  const { spool } = await openSpool(disk, limits, () => performance.now(), { found: () => undefined, damaged: () => undefined })
  const head = Buffer.alloc(HEAD_BYTES, 'h')
  const value = Buffer.alloc(VALUE_BYTES, 'v')
  const append = (): SpoolRef =>
    spool.append(HEAD_BYTES + VALUE_BYTES, (into, at) => {
      into.set(head, at)
      into.set(value, at + HEAD_BYTES)
    })
  const first = append()
  await first.group.safe
  const found = await spool.read(first)
  if (found.length !== HEAD_BYTES + VALUE_BYTES || found[HEAD_BYTES] !== value[0]) throw new Error('the spool read back something else')
  const held: SpoolRef[][] = []
  const groups = async (rounds: number): Promise<number> => {
    let bytes = 0
    for (let round = 0; round < rounds; round++) {
      const refs: SpoolRef[] = []
      for (let i = 0; i < GROUP; i++) refs.push(append())
      await refs[0]!.group.safe
      for (const { length } of refs) bytes += length
      held.push(refs)
      if (held.length > HELD_GROUPS) for (const ref of held.shift()!) spool.drop(ref)
    }
    return bytes
  }
  return { ...inProcess('spool', groups, GROUP), close: () => spool.close() }
}

const writing = async (parent: string): Promise<Contender> => {
  const path = join(parent, `plain-${++folders}`)
  const group = Buffer.alloc(GROUP * (HEAD_BYTES + VALUE_BYTES + FRAME_BYTES), 'p')
  let file = await open(path, 'w')
  let written = 0
  const groups = async (rounds: number): Promise<number> => {
    let bytes = 0
    for (let round = 0; round < rounds; round++) {
      if (written >= SEGMENT_BYTES) {
        await file.close()
        file = await open(path, 'w')
        written = 0
      }
      bytes += (await file.write(group, 0, group.length)).bytesWritten
      await file.datasync()
      written += group.length
    }
    return bytes
  }
  return { ...inProcess('plain', groups, GROUP), close: () => file.close() }
}
