// The line's controller: accepts a request once and in time, refuses the rest, stays paused until somebody at the machine lets it go.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createLine } from '../src/line.ts'

test('a pause is accepted once, comes to rest after its stopping time, and is named by its request', () => {
  const line = createLine(2000)
  assert.deepEqual(line.requestPause('r-1', 5000, 1000), { accepted: true, code: 'OK' })
  assert.equal(line.state, 'stopping')
  line.advance(2999)
  assert.deepEqual([line.state, line.doneRequestId], ['stopping', ''])
  line.advance(3000)
  assert.deepEqual([line.state, line.doneRequestId], ['paused', 'r-1'])
  assert.deepEqual(line.requestPause('r-1', 9000, 4000), { accepted: false, code: 'REPEATED' })
  assert.deepEqual(line.ledger(), [{ n: 1, effect: 'pause', requestId: 'r-1', atMs: 1000 }])
})

test('late, burned, manual, emergency stop and line-refuses are refused without effect', () => {
  const line = createLine()
  assert.equal(line.requestPause('late', 999, 1000).code, 'LATE')
  assert.equal(line.requestPause('never', Number.NaN, 1000).code, 'LATE')
  assert.equal(line.burn('b', 1000), false)
  assert.equal(line.requestPause('b', 5000, 1000).code, 'BURNED')
  line.setMode('manual')
  assert.equal(line.requestPause('m', 5000, 1000).code, 'NOT_AUTOMATIC')
  line.setMode('automatic')
  line.setEmergencyStop(true)
  assert.equal(line.requestPause('e', 5000, 1000).code, 'EMERGENCY_STOP')
  line.setEmergencyStop(false)
  line.refuse(true)
  assert.equal(line.requestPause('x', 5000, 1000).code, 'REFUSED')
  assert.deepEqual(line.ledger(), [])
  line.refuse(false)
  assert.equal(line.requestPause('x', 5000, 1000).code, 'OK')
  assert.equal(line.burn('x', 1500), true)
})

test('a paused line resumes only after the local reset', () => {
  const line = createLine(0)
  line.requestPause('p', 10, 1)
  line.advance(2)
  assert.equal(line.requestResume('r1', 10, 3).code, 'LOCAL_RESET_NEEDED')
  assert.equal(line.localReset(), true)
  assert.equal(line.requestResume('r2', 10, 4).code, 'OK')
  assert.equal(line.state, 'running')
  assert.equal(line.localReset(), false)
})

test('whatever is asked in whatever order, no request id has two effects and a burned one has none afterwards', () => {
  const step = fc.record({
    what: fc.constantFrom('pause', 'resume', 'burn', 'reset', 'local', 'advance', 'refuse'),
    id: fc.constantFrom('a', 'b', 'c'),
    late: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const line = createLine(2)
      const burned = new Set<string>()
      steps.forEach(({ what, id, late }, nowMs) => {
        const effects = line.ledger().length
        const notAfterMs = late ? nowMs - 1 : nowMs
        if (what === 'pause') line.requestPause(id, notAfterMs, nowMs)
        else if (what === 'resume') line.requestResume(id, notAfterMs, nowMs)
        else if (what === 'burn') {
          assert.equal(
            line.burn(id, nowMs),
            line.ledger().some((e) => e.requestId === id),
          )
          burned.add(id)
        } else if (what === 'reset') line.reset()
        else if (what === 'local') line.localReset()
        else if (what === 'refuse') line.refuse(late)
        line.advance(nowMs)
        if (line.ledger().length > effects) assert.ok(!late && !burned.has(id))
      })
      const ids = line.ledger().map((e) => e.requestId)
      assert.equal(new Set(ids).size, ids.length)
    }),
  )
})
