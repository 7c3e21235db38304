// A process ends in time, with an exit code, whatever its threads are in.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import test from 'node:test'
import { FOREVER } from '../trouble.ts'

const ended = async (spins: number): Promise<{ code: number | null; signal: string | null; output: string }> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'stuck-process.ts'), String(spins)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()))
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
  return { code, signal, output }
}

test('a process whose thread is in a run without end exits at once, with code 1 and no abort', async () => {
  assert.deepEqual(await ended(FOREVER), { code: 1, signal: null, output: 'ANDON_INFERENCE_RUN_TIMEOUT\nclosed\n' })
})

test('a process whose threads are back ends with the code it wants', async () => {
  assert.deepEqual(await ended(8), { code: 0, signal: null, output: 'closed\n' })
})
