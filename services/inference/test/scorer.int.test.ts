// The scorer beside a server that is a process of its own: killed, frozen, wrong or gone, it costs no vector, doubles none and scores
// none wrongly; back again, it is used again.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Input } from '@andon/kit'
import type { Models, Predictions } from '@andon/schemas'
import { readDoubles } from '@andon/schemas/packed'
import { openPlant, vectorOf } from './plant.ts'
import type { Plant, StartedService } from './plant.ts'
import { putInForce, smallModel } from './small-models.ts'

/** A free port below those that connections are given. */
const freePort = async (): Promise<number> => {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
    })
    if (isFree) return port
  }
}

interface Server {
  start(): Promise<void>
  kill(signal: NodeJS.Signals): void
}

const serverOf = (t: TestContext, plant: Plant, port: number, facts: readonly Models[]): Server => {
  const factsFile = join(plant.blobDir, `facts-${port}.json`)
  writeFileSync(factsFile, JSON.stringify(facts))
  let child: ChildProcess | undefined
  const end = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  t.after(end)
  return {
    async start() {
      await end()
      child = spawn(
        process.execPath,
        [fileURLToPath(new URL('./scoring-server.ts', import.meta.url)), String(port), plant.blobDir, factsFile],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      )
      const exited = once(child, 'exit').then(() => Promise.reject(new Error('the server ended before it was ready')))
      exited.catch(() => {})
      await Promise.race([once(child.stdout!, 'data'), exited])
    },
    kill: (signal) => void child?.kill(signal),
  }
}

/** Rows scored so far by where. */
const rowsBy = async (service: StartedService): Promise<Record<string, number>> =>
  Object.fromEntries(
    [...(await service.metricsText()).matchAll(/^andon_inference_scorer_rows_total\{where="(\w+)"[^}]*\} (\d+)/gm)].map(
      ([, where, rows]) => [where, Number(rows)],
    ),
  )

const WEIGHT = 0.01
const expected = (n: number): number => readDoubles(vectorOf('press', n).values).reduce((a, b) => a + b, 0) * WEIGHT

/** Every vector has one prediction, in order; what is scored is scored by the model in force, and rightly. */
const check = (predictions: readonly Input<Predictions>[], model: Models): void => {
  predictions.forEach(({ value }, n) => {
    assert.equal(value.vectorId, vectorOf('press', n).vectorId)
    const verdict = value.verdicts[0]!
    assert.deepEqual([verdict.model, verdict.version, verdict.digest], [model.model, model.version, model.digest])
    if (value.type === 'unscored') {
      assert.match(verdict.error!, /Nothing could score/)
      assert.deepEqual([verdict.ratio, value.complete, value.missing], [0, false, ['small.press']])
    } else assert.ok(value.type === 'verdicts' && verdict.error === null && Math.abs(verdict.ratio - expected(n)) < 1e-9)
  })
}

const open = async (t: TestContext, settings: Record<string, string> = {}, changeFacts = (fact: Models): Models => fact) => {
  const plant = openPlant(t)
  const model = await putInForce(plant, smallModel({ weight: WEIGHT }), {})
  const port = await freePort()
  const server = serverOf(t, plant, port, [changeFacts(model)])
  await server.start()
  const service = await plant.start({
    INFERENCE_ROLE: 'scorer',
    INFERENCE_SERVER_URL: `127.0.0.1:${port}`,
    INFERENCE_SERVER_TIMEOUT_MS: '500',
    ...settings,
  })
  let published = 0
  const publishSome = async (count = 10): Promise<void> => {
    await plant.publishVectors(
      'press',
      Array.from({ length: count }, (_, i) => vectorOf('press', published + i)),
    )
    published += count
  }
  /** Publishes until rows are scored there, and returns everything predicted so far. */
  const untilScored = async (where: string): Promise<Input<Predictions>[]> => {
    const before = (await rowsBy(service))[where] ?? 0
    for (;;) {
      await publishSome()
      const predictions = await plant.predictions('press', published)
      if (((await rowsBy(service))[where] ?? 0) > before) return predictions
    }
  }
  return { plant, model, server, service, publishSome, untilScored, published: () => published }
}

for (const [signal, back] of [
  ['SIGKILL', 'start'],
  ['SIGSTOP', 'SIGCONT'],
] as const)
  test(`a server that gets ${signal} under load loses, doubles and spoils no vector, and is used again when it is back`, async (t) => {
    const { plant, model, server, publishSome, untilScored, published } = await open(t)
    check(await untilScored('server'), model)
    for (let i = 0; i < 20; i++) {
      await publishSome(50)
      if (i === 3) server.kill(signal)
    }
    const killedMs = performance.now()
    await plant.predictions('press', published())
    t.diagnostic(`all ${published()} vectors were answered ${Math.round(performance.now() - killedMs)} ms after the load ended`)
    await untilScored('embedded')
    if (back === 'start') await server.start()
    else server.kill(back)
    const backMs = performance.now()
    const predictions = await untilScored('server')
    t.diagnostic(`used again after ${Math.round(performance.now() - backMs)} ms`)
    check(predictions, model)
    assert.equal(new Set(predictions.map(({ id }) => id)).size, published())
    for (const { value } of predictions) assert.equal(value.type, 'verdicts')
  })

test('without a session here, what is not scored while the server is away says so, and nothing else does', async (t) => {
  const { model, server, untilScored, published } = await open(t, { INFERENCE_SCORER_FALLBACK: 'unscored' })
  const scored = (await untilScored('server')).length
  server.kill('SIGKILL')
  const gone = await untilScored('nowhere')
  assert.equal(gone.at(-1)!.value.type, 'unscored')
  await server.start()
  const predictions = await untilScored('server')
  check(predictions, model)
  assert.equal(predictions.length, published())
  assert.deepEqual([predictions[scored - 1]!.value.type, predictions.at(-1)!.value.type], ['verdicts', 'verdicts'])
})

test('a server with another artefact under the same name and version is refused, never believed', async (t) => {
  const other = openPlant(t)
  const wrong = await putInForce(other, smallModel({ weight: 7 }), {})
  const { plant, model, service, untilScored } = await open(t, {}, (fact) => ({ ...fact, digest: wrong.digest, uri: wrong.uri }))
  await putInForce(plant, smallModel({ weight: 7 }), {}, []) // its bytes are there for the server
  check(await untilScored('embedded'), model)
  assert.equal((await rowsBy(service))['server'] ?? 0, 0)
})
