// The ledger verifier: given what senders were told, what lies on the topics and what the machine physically did,
// says what was lost, doubled, misordered or done without approval. Pure; judges flows and fault runs. It shares no
// code with the services it judges: even the ownership rule of DESIGN.md §4 is written here a second time.

import assert from 'node:assert/strict'
import type { Actions, Anomalies, Features, Predictions, Telemetry } from '@andon/schemas'

/** One record as read from a topic, in offset order per partition. */
export interface Stored<T> {
  readonly partition: number
  readonly offset: number
  readonly timestampMs: number
  readonly headers: Readonly<Record<string, string>>
  readonly value: T
}

/** A sample whose sender was told that it is safe. */
export interface Acknowledged {
  readonly sourceId: string
  readonly epoch: number
  readonly seq: number
}

/** Something the controlled machine really did, written by the machine (or its simulator), never by Andon. */
export interface PhysicalEffect {
  readonly requestId: string
  readonly command: string
  readonly atMs: number
}

export interface Ledger {
  readonly acknowledged: readonly Acknowledged[]
  readonly telemetry: readonly Stored<Telemetry>[]
  readonly features: readonly Stored<Features>[]
  readonly predictions: readonly Stored<Predictions>[]
  readonly anomalies: readonly Stored<Anomalies>[]
  readonly actions: readonly Stored<Actions>[]
  readonly effects: readonly PhysicalEffect[]
}

export interface LedgerVerdict {
  readonly acknowledged: number
  readonly lost: string[]
  readonly duplicates: string[]
  readonly misordered: string[]
  readonly unapproved: string[]
  readonly pass: boolean
}

/** Judges a ledger. Samples newer than the last closed window of their asset are still in flight and not judged for windows. */
export const verifyLedger = (ledger: Ledger): LedgerVerdict => {
  const lost: string[] = []
  const duplicates: string[] = []
  const misordered: string[] = []
  const unapproved: string[] = []
  checkTelemetry(ledger, lost, misordered)
  checkWindows(ledger, lost, duplicates)
  checkDerived(ledger, lost, duplicates)
  checkActions(ledger, duplicates, misordered, unapproved)
  const pass = lost.length + duplicates.length + misordered.length + unapproved.length === 0
  return { acknowledged: ledger.acknowledged.length, lost, duplicates, misordered, unapproved, pass }
}

/** Asserts that a flow of the demo left nothing lost, doubled, misordered or unapproved, and that there was something to judge. */
export const assertClean = (ledger: Ledger): void => {
  const verdict = verifyLedger(ledger)
  assert.ok(verdict.acknowledged > 500, `${verdict.acknowledged} samples were acknowledged`)
  assert.deepEqual(
    { ...verdict, acknowledged: 0 },
    { acknowledged: 0, lost: [], duplicates: [], misordered: [], unapproved: [], pass: true },
  )
}

const sourceKey = (sourceId: string, epoch: number): string => `${sourceId}@${epoch}`

/** Every acknowledged sample is in a block (or named as withheld); what a source sends first lies first. */
const checkTelemetry = (ledger: Ledger, lost: string[], misordered: string[]): void => {
  const stored = new Map<string, Set<number>>()
  const highest = new Map<string, number>()
  for (const { value, partition, offset } of ledger.telemetry) {
    const block = value.block
    if (value.type !== 'block' || !block) continue
    const key = sourceKey(block.sourceId, block.epoch)
    const seen = stored.get(key) ?? new Set<number>()
    stored.set(key, seen)
    let firstNew: number | undefined
    for (let seq = block.seqFrom; seq <= block.seqTo; seq++) {
      if (!seen.has(seq)) firstNew ??= seq
      seen.add(seq)
    }
    const before = highest.get(key) ?? -Infinity
    if (firstNew !== undefined && firstNew < before)
      misordered.push(`telemetry ${partition}:${offset}: ${key} number ${firstNew} first appears after ${before}`)
    highest.set(key, Math.max(before, block.seqTo))
  }
  for (const { sourceId, epoch, seq } of ledger.acknowledged)
    if (!stored.get(sourceKey(sourceId, epoch))?.has(seq))
      lost.push(`${sourceKey(sourceId, epoch)} number ${seq}: acknowledged, in no block`)
}

interface Kept {
  readonly order: readonly number[]
  readonly record: Stored<Features>
}

const parseOrder = (text: string | undefined): number[] => (text ?? '').split('.').map(Number)

const above = (a: readonly number[], b: readonly number[]): boolean => {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return false
}

const keptVectors = (features: readonly Stored<Features>[]): Map<string, Kept> => {
  const kept = new Map<string, Kept>()
  for (const record of features) {
    const vector = record.value.vector
    if (record.value.type !== 'vector' || !vector) continue
    const window = `${record.value.assetId}|${vector.featureSetDigest}|${vector.windowEndUs}`
    const order = parseOrder(record.headers['andon-order'])
    const before = kept.get(window)
    if (!before || above(order, before.order)) kept.set(window, { order, record })
  }
  return kept
}

interface Span {
  readonly id: string
  readonly startUs: number
  readonly endUs: number
}

/** Windows that follow each other share no sample; such that overlap may. */
const areApart = (a: Span, b: Span): boolean => a.endUs <= b.startUs || b.endUs <= a.startUs

/** Every acknowledged sample of a windowed asset is in a kept revision, in one alone unless windows overlap, or in a late report. */
const checkWindows = (ledger: Ledger, lost: string[], duplicates: string[]): void => {
  const contained = new Map<string, Map<number, Span[]>>()
  const assetOf = new Map<string, string>()
  const timeOf = new Map<string, number>()
  const closedUntil = new Map<string, number>()
  const late = new Map<string, Set<number>>()
  for (const { value } of ledger.telemetry) {
    const block = value.block
    if (!block) continue
    const key = sourceKey(block.sourceId, block.epoch)
    assetOf.set(key, value.assetId)
    const withheld = new Set(block.withheld ?? [])
    const times = Buffer.from(block.timesUs)
    let row = 0
    for (let seq = block.seqFrom; seq <= block.seqTo; seq++)
      if (withheld.has(seq)) timeOf.set(`${key}#${seq}`, -Infinity)
      else timeOf.set(`${key}#${seq}`, Number(times.readBigInt64LE(8 * row++)))
  }
  for (const { record } of keptVectors(ledger.features).values()) {
    const { assetId, vector } = record.value
    if (!vector || vector.quality === 'unmonitored') continue
    const span: Span = { id: vector.vectorId, startUs: vector.windowStartUs, endUs: vector.windowEndUs }
    closedUntil.set(assetId, Math.max(closedUntil.get(assetId) ?? 0, vector.windowEndUs))
    for (const range of vector.ranges) {
      const key = sourceKey(range.sourceId, range.epoch)
      const set = `${key}|${vector.featureSet}`
      const seqs = contained.get(set) ?? new Map<number, Span[]>()
      contained.set(set, seqs)
      for (let seq = range.seqFrom; seq <= range.seqTo; seq++) {
        // A range may span a withheld number; only a number with a time is a sample.
        if (timeOf.get(`${key}#${seq}`) === -Infinity) continue
        const others = seqs.get(seq) ?? []
        const other = others.find((each) => each.id !== span.id && areApart(each, span))
        if (other !== undefined) duplicates.push(`${key} number ${seq}: in windows ${other.id} and ${span.id}`)
        seqs.set(seq, [...others, span])
      }
    }
  }
  for (const { value } of ledger.features)
    for (const range of value.late?.ranges ?? []) {
      const seqs = late.get(sourceKey(range.sourceId, range.epoch)) ?? new Set<number>()
      late.set(sourceKey(range.sourceId, range.epoch), seqs)
      for (let seq = range.seqFrom; seq <= range.seqTo; seq++) seqs.add(seq)
    }
  const sets = [...contained.keys()]
  for (const { sourceId, epoch, seq } of ledger.acknowledged) {
    const key = sourceKey(sourceId, epoch)
    const asset = assetOf.get(key)
    const timeUs = timeOf.get(`${key}#${seq}`)
    const until = asset === undefined ? undefined : closedUntil.get(asset)
    if (timeUs === undefined || until === undefined || timeUs >= until || timeUs === -Infinity) continue
    const held = sets.some((set) => set.startsWith(`${key}|`) && contained.get(set)?.has(seq))
    if (!held && !late.get(key)?.has(seq)) lost.push(`${key} number ${seq}: in a block of ${asset}, in no kept window and no late report`)
  }
}

const causeOf = (headers: Readonly<Record<string, string>>): { partition: number; offset: number } | undefined => {
  const parts = headers['andon-cause']?.split('/')
  return parts ? { partition: Number(parts[1]), offset: Number(parts[3]) } : undefined
}

/** One id, one content; every kept vector below the reader's position has its prediction; findings name predictions that exist. */
const checkDerived = (ledger: Ledger, lost: string[], duplicates: string[]): void => {
  oneContent('features', ledger.features, (value) => value.vector?.vectorId, duplicates)
  oneContent('predictions', ledger.predictions, (value) => value.predictionId, duplicates)
  oneContent('anomalies', ledger.anomalies, (value) => value.finding?.findingId, duplicates)
  const read = new Map<number, number>()
  const scored = new Set<string>()
  const predictions = new Set<string>()
  for (const { headers, value } of ledger.predictions) {
    const cause = causeOf(headers)
    if (cause) read.set(cause.partition, Math.max(read.get(cause.partition) ?? -1, cause.offset))
    scored.add(value.vectorId)
    predictions.add(value.predictionId)
  }
  for (const { record } of keptVectors(ledger.features).values()) {
    const id = record.value.vector?.vectorId
    if (id !== undefined && record.offset <= (read.get(record.partition) ?? -1) && !scored.has(id))
      lost.push(`vector ${id} at features ${record.partition}:${record.offset}: never scored`)
  }
  for (const { value, partition, offset } of ledger.anomalies)
    if (value.finding && value.type !== 'SensorFault' && !predictions.has(value.finding.predictionId))
      lost.push(
        `finding ${value.finding.findingId} at anomalies ${partition}:${offset}: its prediction ${value.finding.predictionId} is on no topic`,
      )
}

const plain = (_key: string, value: unknown): unknown => (value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value)

const oneContent = <T>(topic: string, records: readonly Stored<T>[], id: (value: T) => string | undefined, duplicates: string[]): void => {
  const contents = new Map<string, string>()
  for (const { value, partition, offset } of records) {
    const key = id(value)
    if (key === undefined || key === '') continue
    const content = JSON.stringify(value, plain)
    const before = contents.get(key)
    if (before !== undefined && before !== content) duplicates.push(`${topic} ${partition}:${offset}: id ${key} with another content`)
    contents.set(key, content)
  }
}

interface Step {
  proposal?: Actions
  approvals: Map<string, Actions>
  ended: string | undefined
  intents: Map<string, Actions>
  executed: number
}

const stampBoundUs = 60_000_000

/** Replays `actions` by the ownership rule, then asks of every physical effect: approved by whom, before what, how often? */
const checkActions = (ledger: Ledger, duplicates: string[], misordered: string[], unapproved: string[]): void => {
  const partitions = new Map<number, Stored<Actions>[]>()
  for (const record of ledger.actions) {
    const list = partitions.get(record.partition) ?? []
    partitions.set(record.partition, list)
    list.push(record)
  }
  const intents = new Map<string, { step: Step; live: boolean; why: string }>()
  for (const [partition, records] of partitions) {
    records.sort((a, b) => a.offset - b.offset)
    checkPartition(partition, records, intents, duplicates, misordered)
  }
  const byRequest = new Map<string, number>()
  const byStep = new Map<Step, number>()
  for (const effect of ledger.effects) {
    const intent = intents.get(effect.requestId)
    if (!intent) unapproved.push(`effect ${effect.command} ${effect.requestId}: no intent on the log`)
    else if (!intent.live) unapproved.push(`effect ${effect.command} ${effect.requestId}: ${intent.why}`)
    else if (byStep.set(intent.step, (byStep.get(intent.step) ?? 0) + 1).get(intent.step) !== 1)
      duplicates.push(`effect ${effect.command} ${effect.requestId}: the step had its effect already`)
    const count = (byRequest.get(effect.requestId) ?? 0) + 1
    byRequest.set(effect.requestId, count)
    if (count === 2) duplicates.push(`effect ${effect.command} ${effect.requestId}: twice on the machine`)
  }
}

const checkPartition = (
  partition: number,
  records: readonly Stored<Actions>[],
  intents: Map<string, { step: Step; live: boolean; why: string }>,
  duplicates: string[],
  misordered: string[],
): void => {
  let epoch = -1
  let owner = ''
  let stampUs = -Infinity
  const steps = new Map<string, Step>()
  const holds = new Map<string, string>()
  const lifted = new Set<string>()
  const revoked = new Set<string>()
  const opened = new Set<string>()
  const stepOf = (id: string): Step => {
    const step = steps.get(id) ?? {
      approvals: new Map<string, Actions>(),
      ended: undefined,
      intents: new Map<string, Actions>(),
      executed: 0,
    }
    steps.set(id, step)
    return step
  }
  for (const { value: fact, offset, timestampMs } of records) {
    const place = `actions ${partition}:${offset}`
    if (fact.type === 'HoldRequested')
      for (const id of fact.hold?.holdIds ?? []) if (!lifted.has(id)) holds.set(id, fact.hold?.scope ?? '*')
    if (fact.type === 'RevokeRequested' && fact.stepId) revoked.add(fact.stepId)
    if (fact.epoch === null || fact.owner === null || fact.epoch === undefined) continue
    const stampOff = Math.abs(fact.atUs - timestampMs * 1000) > stampBoundUs
    if (fact.type === 'OwnershipTaken') {
      if (fact.epoch > epoch && !stampOff) [epoch, owner] = [fact.epoch, fact.owner ?? '']
      continue
    }
    const isVoid = fact.epoch !== epoch || fact.owner !== owner || stampOff
    if (fact.type === 'Executing' && fact.stepId && fact.execution) {
      const step = stepOf(fact.stepId)
      const why = isVoid ? 'its intent is void' : whyDead(fact, step, holds, revoked)
      intents.set(fact.execution.commandRequestId, { step, live: why === '', why })
      if (why === '') step.intents.set(fact.execution.commandRequestId, fact)
    }
    if (isVoid) continue
    if (fact.atUs < stampUs) misordered.push(`${place}: stamp ${fact.atUs} after ${stampUs}`)
    stampUs = Math.max(stampUs, fact.atUs)
    if (fact.type === 'HoldLifted')
      for (const id of fact.hold?.holdIds ?? []) {
        holds.delete(id)
        lifted.add(id)
      }
    if (fact.type === 'IncidentOpened' && fact.incidentId) {
      if (opened.has(fact.incidentId)) duplicates.push(`${place}: incident ${fact.incidentId} opened twice`)
      opened.add(fact.incidentId)
    }
    if (!fact.stepId) continue
    const step = stepOf(fact.stepId)
    if (fact.type === 'StepProposed') step.proposal = fact
    if (fact.type === 'DecisionRecorded' && fact.decision?.verdict === 'approve') step.approvals.set(fact.by, fact)
    if (fact.type === 'StepRejected' || fact.type === 'StepExpired' || fact.type === 'StepRevoked') step.ended = fact.type
    if (fact.type === 'Executed' && ++step.executed === 2) duplicates.push(`${place}: step ${fact.stepId} executed twice`)
  }
}

/** Why an intent does not authorise an effect; '' when it does. */
const whyDead = (intent: Actions, step: Step, holds: ReadonlyMap<string, string>, revoked: ReadonlySet<string>): string => {
  const proposal = step.proposal?.proposal
  if (!proposal) return 'no proposal precedes its intent'
  if (step.ended) return `${step.ended} precedes its intent`
  for (const scope of holds.values()) if (scope === '*' || scope === intent.line) return 'a hold precedes its intent'
  if (intent.stepId && revoked.has(intent.stepId)) return 'a revocation precedes its intent'
  const moves = proposal.command.effect === 'motion' || proposal.command.effect === 'energy'
  const needed = Math.max(proposal.approvalsNeeded, moves ? 1 : 0)
  const persons = [...step.approvals.values()].filter(
    (fact) =>
      fact.decision?.commandHash === proposal.command.commandHash && fact.by !== step.proposal?.by && fact.atUs < proposal.expiresUs,
  )
  if (persons.length < needed) return `${persons.length} of ${needed} approvals precede its intent`
  return ''
}
