// The story, end to end, on real Kafka: recordings and the press in, a finding, a proposed pause, a second person's approval, the
// line paused and read back, the clip kept, the webhook verified - and the causation chain across all topics.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { repositoryRoot } from '@andon/platform'
import type { Actions, Anomalies, Features, Finding, Predictions, Telemetry } from '@andon/schemas'
import { type Stored, assertClean } from '../harness/ledger.ts'
import { Mesh, until } from '../harness/mesh.ts'

const doors = { actions: 7072, video: 7073, plant: 7090, sinks: 7091 } as const

describe('from a recording and a press to a paused line and a stored clip', { timeout: 300_000 }, () => {
  let mesh: Mesh
  before(async () => {
    mesh = await Mesh.start()
  })
  after(async () => {
    await mesh?.stop()
  })

  const facts = async (type: string): Promise<Stored<Actions>[]> =>
    (await mesh.read<Actions>('actions')).filter(({ value }) => value.type === type)
  const findingsOf = async (asset: string): Promise<Finding[]> =>
    (await mesh.read<Anomalies>('anomalies'))
      .map(({ value }) => value.finding)
      .filter((finding): finding is Finding => finding?.assetId === asset)

  /** About the press itself: on a machine that is busy elsewhere its telemetry may well pause, and that is told too. */
  const machineFindings = async (): Promise<Finding[]> => (await findingsOf('press-1')).filter(({ about }) => about === 'machine')

  let pause: Stored<Actions>

  it('a real recording gives a finding inside its labelled region', async () => {
    const labels = JSON.parse(readFileSync(join(repositoryRoot, 'examples/steel-plant/recordings/nab/labels.json'), 'utf8')) as {
      windows: [string, string][]
    }
    const regions = labels.windows.map(
      ([from, to]) => [Date.parse(`${from.replace(' ', 'T')}Z`) * 1000, Date.parse(`${to.replace(' ', 'T')}Z`) * 1000] as const,
    )
    await until('a finding in a labelled region of the machine temperature', 150_000, async () =>
      (await findingsOf('furnace-fan')).find((finding) =>
        regions.some(([from, to]) => finding.recordedUs !== null && finding.recordedUs >= from && finding.recordedUs <= to),
      ),
    )
  })

  it('a worn bearing gives a finding that names vibration, and a pause is proposed, not run', async () => {
    assert.deepEqual(await machineFindings(), [], 'a healthy press gives no finding')
    await mesh.call('POST', doors.plant, '/inject/bearing-wear')
    pause = await until('a pause is proposed for the press', 90_000, async () =>
      (await facts('StepProposed')).find(({ value }) => value.assetId === 'press-1' && value.proposal?.command.command === 'line.pause'),
    )
    const [opened] = (await machineFindings()).filter((finding) => finding.transition === 'opened')
    assert.ok(opened, 'an episode opened')
    assert.ok(opened.ratio > 1)
    assert.match(opened.contributions[0]?.name ?? '', /^vibrationG\./)
    assert.ok(opened.doubts.includes('non-champion'), 'an advisory model asks')
    const state = (await mesh.call('GET', doors.plant, '/state')).body as { line: { state: string } }
    assert.equal(state.line.state, 'running', 'nothing ran without a person')
  })

  it('who may not decide is refused, a second person approves on the command line, and the line is paused and read back', async () => {
    const stepId = pause.value.stepId ?? ''
    const commandHash = pause.value.proposal?.command.commandHash ?? ''
    const refusal = await mesh.call('POST', doors.actions, `/v1/steps/${stepId}/approve`, {
      as: 'integrator',
      body: { commandHash, reason: 'test' },
    })
    assert.ok(refusal.status === 403 || refusal.status === 409, `an integrator cannot approve, got ${refusal.status}`)
    const wrong = await mesh.call('POST', doors.actions, `/v1/steps/${stepId}/approve`, {
      as: 'operator',
      body: { commandHash: '0'.repeat(64), reason: 'test' },
    })
    assert.equal(wrong.status, 409, `another command's hash is refused, got ${wrong.status} ${JSON.stringify(wrong.body)}`)
    const approved = await mesh.andon('actions', 'approve', stepId, '--reason', 'bearing is worn')
    assert.equal(approved.code, 0, approved.out)
    const executed = await until('the pause is read back', 60_000, async () =>
      (await facts('Executed')).find(({ value }) => value.stepId === stepId),
    )
    assert.match(executed.value.execution?.readback ?? '', /paused/)
    const { effects } = (await mesh.call('GET', doors.plant, '/ledger')).body as { effects: { requestId: string }[] }
    const [executing] = (await facts('Executing')).filter(({ value }) => value.stepId === stepId)
    assert.deepEqual(
      effects.map((effect) => effect.requestId),
      [executing?.value.execution?.commandRequestId],
    )
  })

  it('the clip is stored, playable over HTTP, and its hash is the one on the log', async () => {
    const attached = await until('evidence is attached', 60_000, async () =>
      (await facts('EvidenceAttached')).find(
        ({ value }) => value.incidentId === pause.value.incidentId && (value.evidence?.clips?.length ?? 0) > 0,
      ),
    )
    const clips = attached.value.evidence?.clips ?? []
    assert.equal(clips.length, 2, 'both cameras see the press')
    for (const clip of clips) {
      const response = await fetch(`http://127.0.0.1:${mesh.port(doors.video)}/v1/clips/${clip.clipId}/video`, {
        headers: { authorization: `Bearer ${mesh.token('operator')}` },
      })
      assert.equal(response.status, 200)
      const bytes = Buffer.from(await response.arrayBuffer())
      assert.equal(createHash('sha256').update(bytes).digest('hex'), clip.sha256)
      assert.ok(clip.fromUs <= (attached.value.evidence?.fromUs ?? 0), 'the clip starts no later than asked')
    }
  })

  it('the webhook was received and its signature verified by the receiver', async () => {
    const wanted = ['IncidentOpened', 'StepProposed', 'StepApproved', 'Executed', 'EvidenceAttached']
    await until(`the receiver has ${wanted.join(', ')}`, 30_000, async () => {
      const { body } = await mesh.call('GET', doors.sinks, '/received')
      const text = JSON.stringify(body)
      return wanted.every((type) => text.includes(type))
    })
    const { webhooks } = (await mesh.call('GET', doors.sinks, '/received')).body as { webhooks: { verified: boolean }[] }
    assert.ok(webhooks.length >= wanted.length)
    assert.ok(
      webhooks.every((one) => one.verified),
      'every signature verifies',
    )
  })

  it('every step names what caused it, from the pause back to the samples', async () => {
    const [telemetry, features, predictions, anomalies] = await Promise.all([
      mesh.read<Telemetry>('telemetry'),
      mesh.read<Features>('features'),
      mesh.read<Predictions>('predictions'),
      mesh.read<Anomalies>('anomalies'),
    ])
    const copied = (await facts('FindingCopied')).find(
      ({ value }) => value.finding?.assetId === 'press-1' && value.finding.transition === 'opened',
    )
    assert.ok(copied, 'the finding lies on the line’s partition')
    const finding = caused(copied, 'anomalies', anomalies)
    assert.equal(finding.value.finding?.findingId, copied.value.finding?.findingId)
    const prediction = caused(finding, 'predictions', predictions)
    assert.equal(prediction.value.predictionId, finding.value.finding?.predictionId)
    const vector = caused(prediction, 'features', features)
    assert.equal(vector.value.vector?.vectorId, prediction.value.vectorId)
    caused(vector, 'telemetry', telemetry)
    const ranges = vector.value.vector?.ranges ?? []
    assert.ok(ranges.length > 0)
    for (const range of ranges)
      for (let seq = range.seqFrom; seq <= range.seqTo; seq++)
        assert.ok(
          telemetry.some(
            ({ value: { block } }) =>
              block?.sourceId === range.sourceId && block.epoch === range.epoch && block.seqFrom <= seq && seq <= block.seqTo,
          ),
          `sample ${range.sourceId} ${seq} is on the log`,
        )
  })

  it('the ledger verifier finds nothing lost, doubled, misordered or unapproved', async () => {
    await mesh.settle()
    assertClean(await mesh.ledger())
  })
})

/** The one record that a record's lineage header names. */
const caused = <T>(
  effect: { readonly headers: Readonly<Record<string, string>> },
  topic: string,
  records: readonly Stored<T>[],
): Stored<T> => {
  const cause = effect.headers['andon-cause'] ?? ''
  const [from, partition, , offset] = cause.split('/')
  assert.equal(from, topic, `lineage ${cause}`)
  const found = records.find((record) => record.partition === Number(partition) && record.offset === Number(offset))
  assert.ok(found, `${cause} is on the log`)
  return found
}
