// andon state: what a service remembered of an asset at a moment. The newest retained snapshot before it, then the records up
// to it through the service's own code, without a single output.

import { openCodec, partitionOf } from '@andon/kit'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { type Context, CommandError } from '../context.ts'
import { parseTimeMs } from '../data/when.ts'
import { EXIT } from '../exit.ts'
import { withLog } from '../kafka.ts'
import { print } from '../output.ts'
import { namedSettings } from '../replay/child.ts'
import { findCode, installCode, parseService } from '../replay/code.ts'
import { type ReplayHop, runFolder, writeManifest } from '../replay/manifest.ts'
import { planHop } from '../replay/plan-hop.ts'
import { superviseHop } from '../replay/supervise.ts'
import { deleteRun } from './replay.ts'

export interface StateOptions {
  readonly asset: string
  readonly service: string
  readonly json?: boolean
}

/** Prints the state as JSON; null when the service remembered nothing of the asset. Leaves no topic and no file behind. */
export const stateAt = async (context: Context, time: string, options: StateOptions): Promise<void> => {
  const atMs = parseTimeMs('<time>', time, Date.now())
  const { service, code: ref } = parseService(options.service)
  const code = await findCode(context, service, ref)
  if (code.contract.stateVersion === undefined) throw new CommandError(EXIT.usage, `${service} keeps no state.`)
  const id = `state-${randomUUID().slice(0, 8)}`
  const file = join(runFolder(context.home, id), 'state.json')
  await withLog(context, async (log) => {
    const codec = await openCodec({ registryUrl: context.registryUrl, autoRegister: false, namespace: context.namespace })
    const { input } = code.contract
    const planned = await planHop(log, codec, {
      id,
      service,
      contract: code.contract,
      topic: input,
      fromMs: atMs,
      toMs: atMs,
      speed: 'max',
      configs: [],
      models: [],
      blobDir: context.blobDir,
      nowMs: Date.now(),
      describe: { key: options.asset, partition: partitionOf(options.asset, await log.admin.partitions(input)), file },
    })
    const { plan, outputs, warnings } = planned
    for (const warning of warnings) console.error(warning)
    if (plan.partitions.length === 0) {
      show(null)
      return
    }
    const settings = namedSettings(code.contract.settings, process.env)
    await installCode(code)
    const times = { fromMs: atMs, toMs: atMs, startedMs: null, endedMs: null }
    const hop: ReplayHop = {
      service,
      code: code.name,
      input,
      outputs,
      plan,
      settings,
      ...times,
      status: 'planned',
      supervisor: null,
      jobs: 1,
      children: [],
      problem: null,
    }
    writeManifest(context.home, { version: 1, id, createdMs: Date.now(), hops: [hop] })
    const abort = new AbortController()
    const onSignal = (): void => abort.abort()
    process.once('SIGINT', onSignal)
    try {
      const { status, problem } = await superviseHop(context, id, hop, code, abort.signal, () => {})
      if (status !== 'finished') throw new CommandError(EXIT.failed, `The state could not be worked out: ${problem ?? status}`)
      show(JSON.parse(readFileSync(file, 'utf8')))
    } finally {
      process.removeListener('SIGINT', onSignal)
      await deleteRun(context, log, id)
    }
  })

  function show(state: unknown): void {
    print(options.json === true, { service, asset: options.asset, atMs, state }, () => JSON.stringify(state, undefined, 2))
  }
}
