// Words of people as views: who counts, from when, and what is forgotten.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fact, ownershipTaken, sign } from '@andon/decisions'
import { createLogger, localCodec, openMemoryLog, publish } from '@andon/kit'
import type { Actions, EpisodeVerdict, FailureRecord, FaultModeNote } from '@andon/schemas'
import { Teachings, WORD_DELAY_US, followTeachings } from '../src/teachings.ts'

const T0 = 1_790_000_000_000_000
const SECOND = 1_000_000
const DAY = 86_400 * SECOND

/** One partition with its owner, whose facts land at the time of their stamp. */
class Line {
  readonly teachings: Teachings
  private readonly partition: number
  private offset = 0
  constructor(teachings: Teachings, partition = 0) {
    this.teachings = teachings
    this.partition = partition
    this.land(ownershipTaken('line', 1, 'owner', T0))
  }

  land(record: Actions, appendedUs = record.atUs): void {
    const position = { offset: this.offset++, leaderEpoch: 0 }
    this.teachings.apply({ partition: this.partition, position, timestampMs: appendedUs / 1000, value: record })
  }

  say(type: string, fields: Partial<Actions>, atUs = T0): void {
    const [signed] = sign([fact(type, 'line', atUs, [this.offset], fields)], 1, 'owner')
    if (signed) this.land(signed)
  }
}

const noteOf = (fields: Partial<FaultModeNote> = {}): FaultModeNote => ({
  classId: 'pump',
  modeId: 'mode-1',
  name: 'Worn bearing',
  labels: [],
  standing: 'fault',
  rootCause: null,
  instruction: null,
  cause: null,
  consequence: null,
  response: null,
  timeToRespondS: null,
  ...fields,
})

const failureOf = (fields: Partial<FailureRecord> = {}): FailureRecord => ({
  failureId: 'f-1',
  assetId: 'pump-1',
  kind: 'failure',
  atUs: T0,
  restoredUs: null,
  mode: 'VIB',
  mechanism: null,
  cause: null,
  detection: null,
  component: null,
  workOrder: null,
  note: '',
  withdrawn: false,
  ...fields,
})

const verdictOf = (verdict: string, episodeId = 'e-1'): EpisodeVerdict => ({ episodeId, findingId: '', verdict, modeId: null, note: '' })

test('a word holds for windows recorded two seconds after it, and not for older ones', () => {
  const line = new Line(new Teachings())
  line.say('FaultModeNamed', { faultMode: noteOf() })
  line.say('FaultModeNamed', { faultMode: noteOf({ name: 'Bearing', standing: 'known' }) }, T0 + 60 * SECOND)
  const { teachings } = line
  assert.equal(teachings.nameOf('mode-1', T0 + WORD_DELAY_US - 1), null)
  assert.equal(teachings.nameOf('mode-1', T0 + WORD_DELAY_US), 'Worn bearing')
  assert.equal(teachings.standingOf('mode-1', T0 + 30 * SECOND), 'fault')
  assert.deepEqual([teachings.nameOf('mode-1'), teachings.standingOf('mode-1')], ['Bearing', 'known'])
  assert.deepEqual([teachings.nameOf('mode-2'), teachings.standingOf('mode-2')], [null, 'fault'])
  assert.deepEqual(teachings.modesOf('pump'), ['mode-1'])
})

test('requests, and facts that are not the owner’s, teach nothing', () => {
  const line = new Line(new Teachings())
  const named = fact('FaultModeNamed', 'line', T0, ['x'], { faultMode: noteOf() })
  line.land(named)
  for (const stranger of sign([named], 1, 'somebody')) line.land(stranger)
  for (const badlyStamped of sign([named], 1, 'owner')) line.land(badlyStamped, T0 + 61 * SECOND)
  assert.equal(line.teachings.nameOf('mode-1'), null)
  for (const own of sign([named], 1, 'owner')) line.land(own)
  assert.equal(line.teachings.nameOf('mode-1'), 'Worn bearing')
})

test('words of one mode from two partitions count by their time on the log, whichever is read first', () => {
  const teachings = new Teachings()
  const [first, second] = [new Line(teachings, 0), new Line(teachings, 1)]
  second.say('FaultModeNamed', { faultMode: noteOf({ name: 'later' }) }, T0 + 10 * SECOND)
  first.say('FaultModeNamed', { faultMode: noteOf({ name: 'earlier' }) })
  assert.equal(teachings.nameOf('mode-1'), 'later')
})

test('failures come in event-time order, of an asset or of its class, without withdrawn ones and apart from interventions', () => {
  const line = new Line(new Teachings((assetId) => (assetId.startsWith('pump') ? 'pump' : 'fan')))
  line.say('FailureRecorded', { failure: failureOf({ failureId: 'late', atUs: T0 - DAY }) })
  line.say('FailureRecorded', { failure: failureOf({ failureId: 'early', assetId: 'pump-2', atUs: T0 - 9 * DAY }) })
  line.say('FailureRecorded', { failure: failureOf({ failureId: 'service', kind: 'intervention', mode: null, atUs: T0 - 5 * DAY }) })
  line.say('FailureRecorded', { failure: failureOf({ failureId: 'fan', assetId: 'fan-1' }) })
  line.say('FailureRecorded', { failure: failureOf({ failureId: 'mistake', atUs: T0 - 2 * DAY }) })
  const { teachings } = line
  const ids = (known: readonly { readonly failureId: string }[]): string[] => known.map(({ failureId }) => failureId)
  line.say('FailureWithdrawn', { failure: failureOf({ failureId: 'mistake', atUs: T0 - 2 * DAY, withdrawn: true }) }, T0 + 60 * SECOND)
  assert.deepEqual(ids(teachings.failuresOf({ classId: 'pump' })), ['early', 'late'])
  assert.deepEqual(ids(teachings.failuresOf({ classId: 'pump' }, T0 + 30 * SECOND)), ['early', 'mistake', 'late'])
  assert.deepEqual(ids(teachings.failuresOf({ assetId: 'pump-1' })), ['late'])
  assert.deepEqual(ids(teachings.interventionsOf({ classId: 'pump' })), ['service'])
})

test('the last word on an episode counts', () => {
  const line = new Line(new Teachings())
  line.say('VerdictRecorded', { episodeVerdict: verdictOf('confirmed') })
  line.say('VerdictRecorded', { episodeVerdict: verdictOf('normal-now') }, T0 + 60 * SECOND)
  assert.equal(line.teachings.verdictOf('e-1', T0 + 30 * SECOND), 'confirmed')
  assert.equal(line.teachings.verdictOf('e-1'), 'normal-now')
  assert.equal(line.teachings.verdictOf('e-2'), undefined)
})

test('what is kept is bounded: of an asset the failures that lie furthest back go first', () => {
  const line = new Line(new Teachings())
  for (let at = 0; at < 1_010; at++) line.say('FailureRecorded', { failure: failureOf({ failureId: `f-${at}`, atUs: T0 - at * SECOND }) })
  const kept = line.teachings.failuresOf({ assetId: 'pump-1' })
  assert.deepEqual([kept.length, kept.at(-1)?.failureId, kept[0]?.failureId], [1_000, 'f-0', 'f-999'])
})

test('whoever follows the topic knows every word before it judges what was recorded after it', async (t) => {
  const log = openMemoryLog({ partitions: 1 })
  const codec = localCodec()
  await log.admin.ensureTopics([{ name: 'actions', partitions: 1 }])
  const write = async (value: Actions): Promise<void> => {
    await publish(log, codec, [{ topic: 'actions', key: 'line', value, id: value.id, type: value.type, timeUs: value.atUs }], 'test', {
      timestampMs: value.atUs / 1000,
    })
  }
  let nowUs = T0
  const logger = createLogger({ service: 'clustering', level: 'silent' })
  const taught = await followTeachings(log, codec, { logger, classOf: () => undefined, nowUs: () => nowUs })
  t.after(() => taught.stop())
  await write(ownershipTaken('line', 1, 'owner', T0))
  nowUs = T0 + 10 * SECOND
  const [named] = sign([fact('FaultModeNamed', 'line', nowUs, ['a'], { faultMode: noteOf() })], 1, 'owner')
  await write(named as Actions)
  nowUs += 5 * SECOND
  await taught.settled(nowUs)
  assert.equal(taught.teachings.nameOf('mode-1', nowUs), 'Worn bearing')
})
