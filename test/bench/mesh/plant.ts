// The plant that benchmarks of the whole mesh run.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const LINES = 10

export const assetId = (i: number): string => `bench-${i}`

/** A catalogue is never empty. */
const NOTHING = {
  name: 'notify.nobody',
  title: 'Tell nobody',
  executor: 'notify',
  target: { kind: 'line' },
  effect: 'notify',
  class: 'ii',
  riskClass: 'low',
  allowedModes: ['any'],
  hazardOfStop: 'none',
  preconditions: [],
  readBack: { state: 'accepted', withinMs: 1000 },
  params: {},
  limits: { perHour: 1 },
  maxLatencyMs: 1000,
  commandWindowMs: 5000,
  simulated: true,
}

/** A plant of equal assets with channels a, b and c, and a policy that does nothing. `features`: of its one feature set. */
export const writePlant = (folder: string, count: number, features: Readonly<Record<string, unknown>>): void => {
  for (const part of ['features', 'policies', 'boundaries']) mkdirSync(join(folder, part))
  const assets = Array.from({ length: count }, (_, i) => ({
    id: assetId(i),
    name: assetId(i),
    line: `line-${i % LINES}`,
    class: 'bench',
    origin: 'simulated',
    sources: [`${assetId(i)}-plc`],
    channels: ['a', 'b', 'c'].map((id) => ({ id, unit: '1', kind: 'scalar' })),
  }))
  const lines = Array.from({ length: LINES }, (_, i) => ({ id: `line-${i}`, name: `Line ${i}`, area: 'bench', controlGroup: `line-${i}` }))
  const plant = {
    version: 1,
    site: { id: 'bench', name: 'Bench', timezone: 'Etc/UTC' },
    lines,
    assetClasses: [{ id: 'bench', featureSet: 'features/bench' }],
    assets,
    cameras: [],
  }
  const policy = {
    version: 1,
    name: 'policies/default',
    when: 'finding.severity < 1',
    plan: [{ step: 'notify', command: 'notify.nobody', approvals: 0 }],
    evidence: null,
    budget: { perLinePerHour: 1 },
    runbook: 'docs/runbooks/default.md',
  }
  writeFileSync(join(folder, 'plant.yaml'), JSON.stringify(plant))
  writeFileSync(join(folder, 'commands.yaml'), JSON.stringify({ version: 1, commands: [NOTHING] }))
  writeFileSync(join(folder, 'features', 'bench.yaml'), JSON.stringify({ version: 1, name: 'features/bench', ...features }))
  writeFileSync(join(folder, 'policies', 'default.yaml'), JSON.stringify(policy))
}
