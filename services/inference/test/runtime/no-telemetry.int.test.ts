// ONNX Runtime's own usage events are off, wherever a session is opened: nothing is kept in the home folder for them.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { identity } from '../onnx-models.ts'

const url = (file: string): string => JSON.stringify(new URL(`../../src/runtime/${file}`, import.meta.url).href)

const programs: Readonly<Record<string, string>> = {
  'in the process itself': `
    const { openSession } = await import(${url('session.ts')})
    const session = await openSession({ bytes, parameters: {}, provider: 'cpu' })
    await session.release()`,
  'in a thread': `
    const { threadRuntime } = await import(${url('thread-runtime.ts')})
    const runtime = threadRuntime({ workers: 1, runTimeoutMs: 60000 })
    await runtime.open({ label: 'm', digest: 'd', bytes, instances: 1, maxBatchRows: 4, parameters: {}, device: 'cpu' })
    await runtime.close()`,
  'in a process of its own': `
    const { processRuntime } = await import(${url('process-runtime.ts')})
    const runtime = processRuntime({ runTimeoutMs: 60000, memoryLimitBytes: 2 ** 31 })
    await runtime.open({ label: 'm', digest: 'd', bytes, instances: 1, maxBatchRows: 4, parameters: {}, device: 'cpu' })
    await runtime.close()`,
}

for (const [where, program] of Object.entries(programs)) {
  test(`a session opened ${where} keeps nothing for usage events`, () => {
    const home = mkdtempSync(join(tmpdir(), 'andon-home-'))
    try {
      writeFileSync(join(home, 'model.onnx'), identity('float', 2))
      const script = `
        import { readFileSync } from 'node:fs'
        const bytes = readFileSync('model.onnx')
        ${program}`
      const env = { PATH: process.env['PATH'], HOME: home, XDG_CACHE_HOME: join(home, 'cache') }
      writeFileSync(join(home, 'program.mjs'), script)
      execFileSync(process.execPath, ['program.mjs'], { cwd: home, env, timeout: 60_000 })
      assert.deepEqual(readdirSync(home).toSorted(), ['model.onnx', 'program.mjs'])
    } finally {
      rmSync(home, { recursive: true, force: true })
    }
  })
}
