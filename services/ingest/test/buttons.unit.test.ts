// Buttons: one press is one call, however a contact bounces and however often a press is sent again.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseSource, sourceFaults } from '@andon/schemas'
import type { Actions } from '@andon/schemas'
import { buttons } from '../src/buttons.ts'
import { plant, startUs } from './rig.ts'

const file = (extra: object = {}) => {
  const source = parseSource({ version: 1, id: 'help-oven', kind: 'button', asset: 'oven', title: 'Help at the oven', ...extra })
  assert.ok(source.kind === 'button')
  return source
}

const pressed = (extra: object = {}) => {
  const calls: Actions[] = []
  const state = { us: startUs, fail: false }
  const pressable = buttons({
    files: () => [file(extra)],
    plant: () => plant,
    append: async (request) => {
      if (state.fail) throw new Error('no broker')
      calls.push(request)
    },
    nowUs: () => state.us,
  })
  return {
    calls,
    state,
    press: (payload: object | string = '', button = 'help-oven') =>
      pressable.press(button, Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload))),
  }
}

test('a press is the request that andon call makes, at the asset of the button', async () => {
  const { calls, press } = pressed()
  await press()
  const [{ id: _id, ...call }] = calls as [Actions]
  assert.deepEqual(
    [call.type, call.line, call.assetId, call.title, call.by, call.roles],
    ['CallRequested', 'line-1', 'oven', 'Help at the oven', 'button:help-oven', ['button']],
  )
})

test('a bouncing contact is one call; after its time a press is the next one', async () => {
  const { calls, state, press } = pressed({ debounceS: 5 })
  const first = await press()
  state.us += 4_900_000
  assert.equal(await press(), first)
  assert.equal(calls.length, 1)
  state.us += 5_000_000
  assert.notEqual(await press(), first)
  assert.equal(calls.length, 2)
})

test('a numbered press that is sent again has the same id, after any time and in any process', async () => {
  const { calls, state, press } = pressed({ debounceS: 0 })
  await press({ epoch: 1, seq: 7 })
  state.us += 60_000_000
  await press({ epoch: 1, seq: 7 })
  await press({ epoch: 1, seq: 8 })
  assert.equal(calls[0]?.id, calls[1]?.id)
  assert.notEqual(calls[1]?.id, calls[2]?.id)
})

test('a call that is not on the log is not acknowledged, and the next press calls', async () => {
  const { calls, state, press } = pressed()
  state.fail = true
  await assert.rejects(press(), /no broker/)
  state.fail = false
  await press()
  assert.equal(calls.length, 1)
})

test('presses that bounce while the first one is appended wait for it', async () => {
  const appended = Promise.withResolvers<void>()
  let appends = 0
  const pressable = buttons({
    files: () => [file()],
    plant: () => plant,
    append: () => {
      appends++
      return appended.promise
    },
    nowUs: () => startUs,
  })
  const both = Promise.all([pressable.press('help-oven', Buffer.alloc(0)), pressable.press('help-oven', Buffer.alloc(0))])
  appended.resolve()
  const [first, second] = await both
  assert.equal(first, second)
  assert.equal(appends, 1)
})

test('a button of a line calls its control group', async () => {
  const { calls, press } = pressed({ asset: undefined, line: 'line-1' })
  await press('pressed') // a word of its own is no number
  assert.deepEqual([calls[0]?.line, calls[0]?.assetId], ['line-1', null])
})

test('who it does not know, and numbers that are none, are refused', async () => {
  const { press } = pressed()
  await assert.rejects(press('', 'nobody'), { code: 'ANDON_INGEST_UNKNOWN_BUTTON' })
  await assert.rejects(press({ seq: -1 }), { code: 'ANDON_INGEST_BAD_FIELD' })
  await assert.rejects(pressed({ asset: 'kiln' }).press(), { code: 'ANDON_INGEST_UNKNOWN_BUTTON' })
})

test('a source file of a button names an asset or a line of the plant', () => {
  assert.throws(() => file({ asset: undefined }), /asset: expected an asset, or a line/)
  assert.throws(() => file({ line: 'line-1' }), /line: expected either an asset or a line/)
  assert.deepEqual(sourceFaults(file({ asset: 'kiln' }), plant)[0]?.path, 'asset')
  assert.deepEqual(sourceFaults(file({ asset: undefined, line: 'line-9' }), plant)[0]?.path, 'line')
  assert.deepEqual(sourceFaults(file(), plant), [])
})
