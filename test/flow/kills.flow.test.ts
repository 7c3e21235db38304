// The same story while every service and Kafka are killed with -9 in turn: it completes, and the ledger verifier finds nothing lost,
// doubled, misordered or unapproved.

import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Actions } from '@andon/schemas'
import { type Stored, assertClean } from '../harness/ledger.ts'
import { Mesh, until } from '../harness/mesh.ts'

const plant = 7090

describe('kill -9 of each service and of Kafka in turn', { timeout: 900_000 }, () => {
  let mesh: Mesh
  let pause: Stored<Actions>
  before(async () => {
    mesh = await Mesh.start()
  })
  after(async () => {
    await mesh?.stop()
  })

  const fact = async (type: string, stepId?: string | null): Promise<Stored<Actions> | undefined> =>
    (await mesh.read<Actions>('actions')).find(({ value }) => value.type === type && (stepId === undefined || value.stepId === stepId))

  it('the way of the data is killed while the finding forms; the pause is still proposed', async () => {
    await mesh.call('POST', plant, '/inject/bearing-wear')
    for (const name of ['features', 'inference', 'kafka', 'clustering', 'ingest']) await mesh.kill(name)
    pause = await until('a pause is proposed for the press', 120_000, async () =>
      (await mesh.read<Actions>('actions')).find(
        ({ value }) => value.type === 'StepProposed' && value.assetId === 'press-1' && value.proposal?.command.command === 'line.pause',
      ),
    )
  })

  it('the owner is killed right after the approval; the line is paused once and read back', async () => {
    const stepId = pause.value.stepId ?? ''
    await until(
      'the approval is taken',
      60_000,
      async () => (await mesh.andon('actions', 'approve', stepId, '--reason', 'bearing is worn')).code === 0,
    )
    await mesh.kill('actions')
    await mesh.kill('video')
    await until('the pause is executed', 240_000, () => fact('Executed', stepId)).catch(async (cause: unknown) => {
      const told = (await mesh.read<Actions>('actions')).filter(
        ({ value }) => value.stepId === stepId || value.type.startsWith('Ownership'),
      )
      throw new Error(
        told.map(({ value, offset }) => `${offset} ${value.type} ${value.execution?.outcome ?? ''} ${value.title ?? ''}`).join('\n'),
        { cause },
      )
    })
    const { effects } = (await mesh.call('GET', plant, '/ledger')).body as { effects: unknown[] }
    assert.equal(effects.length, 1)
  })

  it('the clip is stored in spite of the killed recorder', async () => {
    await mesh.kill('console')
    const attached = await until('evidence is attached', 90_000, () => fact('EvidenceAttached'))
    assert.ok((attached.value.evidence?.clips?.length ?? 0) > 0, attached.value.evidence?.failure ?? '')
  })

  it('nothing was lost, doubled, misordered or unapproved', async () => {
    await until('readings flow again', 60_000, async () => {
      const { sources } = (await mesh.call('GET', plant, '/state')).body as { sources: Record<string, { waiting: number }> }
      return Object.values(sources).every((source) => source.waiting < 50)
    })
    await mesh.settle()
    assertClean(await mesh.ledger())
  })
})
