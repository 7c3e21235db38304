import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fact, record, sign } from '@andon/decisions'
import { PlantLog, asset, line, modelFact, pausePlan, prediction, second } from './plant-log.ts'

const minute = 60 * second

test('a finding opens an incident that waits for a person, in the words of plant and catalogue', () => {
  const log = new PlantLog()
  const id = log.finding()
  const view = log.model.incident(id)
  assert.ok(view)
  assert.equal(view.state, 'needs-decision')
  assert.equal(view.assetName, 'Press 1 main drive')
  assert.equal(view.lineName, 'Press line 1')
  assert.equal(view.origin, 'simulated')
  assert.equal(view.lineSimulated, true)
  const pause = view.steps.find((step) => step.command === 'line.pause')
  assert.equal(pause?.title, 'Pause the line at the next safe point')
  assert.equal(pause.targetName, 'Press line 1')
  assert.match(pause.hazardOfStop ?? '', /die/)
  assert.equal(pause.reviewMinutes, 45)
  assert.equal(pause.latched, true)
  assert.deepEqual(pause.readBack, { state: 'paused', withinMs: 8000 })
  assert.deepEqual(pause.preconditions, ['modeAutomatic', 'noEmergencyStop', 'heartbeatAlive'])
  assert.equal(pause.status, 'awaiting-approval')
  assert.equal(pause.simulated, true)
  assert.deepEqual(
    view.contributions.map(({ label }) => label),
    ['RMS 2000 to 3000 Hz', 'RMS', 'Kurtosis'],
  )
})

test('decide-by is the earliest expiry among the steps that wait, and goes with the last of them', () => {
  const log = new PlantLog()
  const id = log.finding()
  const step = log.step('line.pause')
  assert.equal(log.model.incident(id)?.decideByUs, step.proposal.expiresUs)
  assert.equal(step.proposal.expiresUs, log.nowUs + 15 * minute)
  log.decide('approve', step.id, step.proposal.command.commandHash)
  assert.equal(log.model.incident(id)?.decideByUs, null)
  assert.equal(log.model.incident(id)?.state, 'open')
})

test('a fact that is not the owner’s changes nothing', () => {
  const log = new PlantLog()
  const id = log.finding()
  const step = log.step('line.pause')
  const before = log.model.incident(id)
  const approved = fact('StepApproved', line, log.nowUs, ['forged'], { incidentId: id, stepId: step.id, by: 'p-nobody' })
  assert.equal(log.land({ ...approved, epoch: 1, owner: 'somebody-else' }), 'void-owner')
  const [late] = sign([fact('IncidentClosed', line, log.nowUs - 2 * minute, ['late'], { incidentId: id })], 1, 'owner-1')
  assert.ok(late)
  assert.equal(log.land(late), 'void-stamp')
  assert.deepEqual(log.model.incident(id), before)
})

test('an owner that was taken over changes nothing any more', () => {
  const log = new PlantLog()
  const id = log.finding()
  log.take('owner-2')
  const [closed] = sign([fact('IncidentClosed', line, log.nowUs, ['stale'], { incidentId: id })], 1, 'owner-1')
  assert.ok(closed)
  assert.equal(log.land(closed), 'void-owner')
  assert.equal(log.model.incident(id)?.state, 'needs-decision')
})

test('approved, sent, read back: each state shows only once the log says so', () => {
  const log = new PlantLog()
  const id = log.finding()
  const pause = () => log.model.incident(id)?.steps.find((step) => step.command === 'line.pause')
  const step = log.step('line.pause')
  log.decide('approve', step.id, step.proposal.command.commandHash)
  assert.equal(pause()?.status, 'approved')
  assert.deepEqual(pause()?.approvedBy, ['p-operator'])
  log.intend('line.pause')
  assert.equal(pause()?.status, 'executing')
  log.settle('line.pause', 'Executed', JSON.stringify({ state: 'paused', mode: 'automatic', tookMs: 2081 }))
  assert.equal(pause()?.status, 'executed')
  assert.equal(pause()?.note, 'line paused, mode automatic, after 2081 ms')
  assert.equal(pause()?.reviewUs, log.nowUs + 45 * minute)
})

test('a command that left no trace asks a person again', () => {
  const log = new PlantLog()
  const id = log.finding()
  const step = log.step('line.pause')
  log.decide('approve', step.id, step.proposal.command.commandHash)
  log.intend('line.pause')
  log.settle('line.pause', 'NotObserved', 'nothing')
  const view = log.model.incident(id)
  assert.equal(view?.state, 'needs-decision')
  assert.equal(view?.steps.find(({ command }) => command === 'line.pause')?.status, 'asks-again')
})

test('undecided in time: the step is expired and nothing waits', () => {
  const log = new PlantLog()
  const id = log.finding()
  log.wait(16 * minute)
  const view = log.model.incident(id)
  assert.equal(view?.steps.find(({ command }) => command === 'line.pause')?.status, 'expired')
  assert.equal(view?.decideByUs, null)
})

test('names of who approved stay hidden while others still decide', () => {
  const log = new PlantLog()
  const [, pause] = pausePlan.steps
  assert.ok(pause)
  const id = log.finding('e-1', {}, { ...pausePlan, steps: [{ ...pause, approvals: 2 }] })
  const { id: stepId, proposal } = log.step('line.pause')
  const view = () => log.model.incident(id)?.steps[0]
  log.decide('approve', stepId, proposal.command.commandHash, '', 'p-operator')
  assert.deepEqual([view()?.approvals, view()?.approvalsNeeded, view()?.approvedBy], [1, 2, []])
  log.decide('approve', stepId, proposal.command.commandHash, '', 'p-lead')
  assert.deepEqual(view()?.approvedBy, ['p-operator', 'p-lead'])
})

test('a hold shows from its request on, is named by its line, and goes only when it is lifted', () => {
  const log = new PlantLog()
  log.hold('h-1', line, 'somebody is in the cell')
  assert.deepEqual(
    log.model.overview().holds.map(({ id, scopeName, reason, by }) => ({ id, scopeName, reason, by })),
    [{ id: 'h-1', scopeName: 'Press line 1', reason: 'somebody is in the cell', by: 'p-lead' }],
  )
  log.wait(60 * minute)
  assert.equal(log.model.overview().holds.length, 1)
  log.lift('h-1', 'cell is empty')
  assert.deepEqual(log.model.overview().holds, [])
})

test('the queue: what needs a person, then by severity, what would move something, what runs out first; closed ones last', () => {
  const log = new PlantLog()
  const [notify] = pausePlan.steps
  assert.ok(notify)
  const open = log.finding('open', { severity: 1, assetId: 'press-1-process' }, null)
  const medium = log.finding('medium', { severity: 3 })
  const still = log.finding('still', { severity: 2 }, { ...pausePlan, steps: [{ ...notify, approvals: 1, expireMinutes: 5 }] })
  log.wait(second)
  const first = log.finding('first', { severity: 2 })
  log.wait(second)
  const later = log.finding('later', { severity: 2 })
  const closed = log.finding('closed', { severity: 1 })
  log.write([fact('IncidentClosed', line, log.nowUs, [closed], { incidentId: closed })])
  assert.deepEqual(
    log.model.overview().incidents.map(({ id }) => id),
    [first, later, still, medium, open, closed],
  )
})

test('normal ranges come from the card that inference writes; a model on trial brings none', () => {
  const log = new PlantLog()
  log.windows(3)
  assert.equal(log.model.overview().assets.find(({ id }) => id === asset)?.state, 'learning')
  log.model.onModel(modelFact({ role: 'shadow' }))
  assert.equal(log.model.overview().assets.find(({ id }) => id === asset)?.state, 'learning')
  log.model.onModel(modelFact())
  const trend = log.model.trend(asset, 'vibrationG.rms', 10)
  assert.deepEqual([trend.low, trend.high, trend.unit, trend.label], [0.06, 0.0648, 'g', 'Vibration RMS'])
  assert.equal(trend.values.length, 3)
  assert.equal(log.model.overview().assets.find(({ id }) => id === asset)?.state, 'watched')
  const contributions = log.model.incident(log.finding())?.contributions
  assert.deepEqual([contributions?.[0]?.low, contributions?.[0]?.high], [0.0379, 0.0442])
})

test('the cards of the signed baselines are read', () => {
  const path = new URL('../../../examples/steel-plant/baseline/press-1.json', import.meta.url)
  const { card } = JSON.parse(readFileSync(path, 'utf8')) as { card: { features: { name: string; q01: number; q99: number }[] } }
  const log = new PlantLog()
  log.model.onModel(modelFact({ card: JSON.stringify(card) }))
  for (const { name, q01, q99 } of card.features) {
    const { low, high } = log.model.trend(asset, name, 1)
    assert.deepEqual([low, high], [q01, q99], name)
  }
})

test('a card of another make, or none, leaves ranges unknown instead of failing', () => {
  const log = new PlantLog()
  for (const card of ['', 'null', '[]', '{"features":[{"name":"vibrationG.rms"}]}', '{"q01":[1],"q99":[2]}'])
    log.model.onModel(modelFact({ card }))
  assert.equal(log.model.trend(asset, 'vibrationG.rms', 1).low, null)
})

test('a packed vector that starts at an odd place in its buffer is read right', () => {
  const log = new PlantLog()
  const odd = prediction(asset, log.nowUs, [1, 2, 3], 0.5)
  const shifted = Buffer.concat([Buffer.from([7]), odd.values]).subarray(1)
  log.model.onPrediction({ ...odd, values: shifted })
  assert.deepEqual(log.model.trend(asset, 'vibrationG.kurtosis', 1).values, [2])
})

test('clips carry their camera, where the pictures come from, and what was asked for', () => {
  const log = new PlantLog()
  const id = log.finding()
  assert.equal(log.model.incident(id)?.evidencePending, true)
  log.store(id, [{ clipId: 'c-1', cameraId: 'cam-press-front', bytes: 100, sha256: 'a'.repeat(64) }])
  const view = log.model.incident(id)
  assert.equal(view?.evidencePending, false)
  const [clip] = view?.clips ?? []
  assert.deepEqual([clip?.cameraName, clip?.origin], ['Press 1 front', 'simulated'])
  assert.equal((clip?.askedToUs ?? 0) - (clip?.askedFromUs ?? 0), 15 * second)
})

test('a run of changed findings is one line of the story', () => {
  const log = new PlantLog()
  const id = log.finding()
  for (const title of ['first', 'second', 'third']) log.finding('e-1', { transition: 'updated', title })
  const changes = log.model.incident(id)?.timeline.filter(({ type }) => type === 'IncidentUpdated')
  assert.deepEqual(
    changes?.map(({ text }) => text),
    ['Finding changed: third'],
  )
})

test('a call by a person is an incident without a score', () => {
  const log = new PlantLog()
  log.ask(record('CallRequested', 'call-1', line, log.nowUs, { by: 'p-operator', roles: ['operator'], title: 'Oil under the press' }), null)
  const [row] = log.model.overview().incidents
  const view = log.model.incident(row?.id ?? '')
  assert.deepEqual([view?.kind, view?.title, view?.ratio, view?.model], ['call', 'Oil under the press', null, null])
  assert.match(view?.timeline[0]?.text ?? '', /p-operator called/)
})

test('every asset, line and camera says where its data comes from', () => {
  const { assets, lines, cameras } = new PlantLog().model.overview()
  assert.deepEqual(
    assets.map(({ id, origin }) => [id, origin]),
    [
      ['press-1', 'simulated'],
      ['press-1-process', 'simulated'],
      ['furnace-fan', 'recording'],
      ['works-power', 'recording'],
    ],
  )
  assert.deepEqual(
    lines.map(({ id, simulated, controlSystem }) => [id, simulated, controlSystem]),
    [
      ['press-line', true, 'opcua'],
      ['utilities', false, null],
    ],
  )
  assert.ok(cameras.every(({ origin }) => origin === 'simulated'))
})

test('the log names no such incident', () => {
  assert.equal(new PlantLog().model.incident('nothing'), undefined)
})

test('a silent asset, one that nothing scores, a machine that is off and a suspected sensor are shown, and a silence leaves the trend', () => {
  const log = new PlantLog()
  const shown = () => log.model.overview().assets.find(({ id }) => id === asset)
  assert.deepEqual([shown()?.state, shown()?.suspected], ['silent', []])
  log.windows(3)
  log.model.onModel(modelFact())
  const newestUs = shown()!.newestUs!
  const silent = {
    ...prediction(asset, newestUs + 3 * second, [], 0),
    type: 'unmonitored',
    quality: 'unmonitored',
    names: [],
    verdicts: [],
  }
  log.model.onPrediction(silent)
  assert.deepEqual([shown()?.state, shown()?.newestUs], ['unmonitored', newestUs])
  assert.equal(log.model.trend(asset, 'vibrationG.rms', 10).values.length, 3)

  const health = [{ channel: 'vibrationG', flags: ['stuck'], names: [] }]
  log.model.onPrediction({ ...prediction(asset, newestUs + second, [1, 2, 3], 0.5), health, regime: 'load' })
  assert.deepEqual([shown()?.state, shown()?.suspected, shown()?.regime], ['watched', ['Vibration'], 'load'])
  const off = { type: 'machine-off', machineOff: true, regime: 'off', verdicts: [] }
  log.model.onPrediction({ ...prediction(asset, newestUs + 2 * second, [1, 2, 3], 0), ...off })
  assert.deepEqual([shown()?.state, shown()?.ratio, shown()?.suspected], ['off', null, []])
  const unscored = { type: 'unscored', missing: ['t2spe.press-1'], verdicts: [] }
  log.model.onPrediction({ ...prediction(asset, newestUs + 4 * second, [1, 2, 3], 0), ...unscored })
  assert.deepEqual([shown()?.state, shown()?.ratio], ['unscored', null])
})

test('a finding about a sensor or telemetry has no score and no model; one about the machine has', () => {
  const log = new PlantLog()
  const id = log.finding('sensor', { about: 'sensor', model: '', modelRole: '', ratio: 1 })
  const { about, model, ratio, peakRatio } = log.model.incident(id)!
  assert.deepEqual([about, model, ratio, peakRatio], ['sensor', null, null, null])
  const machine = log.model.incident(log.finding('machine'))!
  assert.deepEqual([machine.about, machine.model?.name, machine.ratio], ['machine', 't2spe.press-1', 6.31])
})
