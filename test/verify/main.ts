// `npm run verify -- <id…|all> [--json]`: checks against outside programs and contracts, one table or one JSON object per line. Ends
// with 1 when a check failed.

import { parseArgs } from 'node:util'
import { backends } from './backends.ts'
import { type Check, tableOf } from './check.ts'
import { clients } from './clients.ts'
import { conformance, conformanceTable } from './conformance.ts'
import { docs } from './docs.ts'
import { doors } from './doors.ts'
import { images } from './images.ts'
import { model } from './model.ts'
import { registry } from './registry.ts'

interface Verification {
  readonly run: () => Promise<Check[]>
  /** For people. */
  readonly table: (checks: readonly Check[]) => string
}

const CHECKS: Readonly<Record<string, Verification>> = {
  conformance: { run: conformance, table: conformanceTable },
  registry: { run: registry, table: tableOf },
  docs: { run: docs, table: tableOf },
  backends: { run: backends, table: tableOf },
  clients: { run: clients, table: tableOf },
  doors: { run: doors, table: tableOf },
  images: { run: images, table: tableOf },
  model: { run: model, table: tableOf },
}

const { values, positionals } = parseArgs({ options: { json: { type: 'boolean', default: false } }, allowPositionals: true })
const ids = positionals.includes('all') ? Object.keys(CHECKS) : positionals
const unknown = ids.filter((id) => !Object.hasOwn(CHECKS, id))
if (ids.length === 0 || unknown.length > 0) {
  console.error(
    `verify ${unknown.join(' ')}: expected one or more of ${Object.keys(CHECKS).join(', ')}, or all; --json for one object per line`,
  )
  process.exit(2)
}

for (const id of ids) {
  const { run, table } = CHECKS[id]!
  const checks = await run()
  if (values.json) for (const one of checks) console.log(JSON.stringify(one))
  else console.log(`\n── ${id} ──\n${table(checks)}`)
  if (!checks.every(({ pass }) => pass !== false)) process.exitCode = 1
}
