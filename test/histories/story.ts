// What happens in a recorded history: the demo plant's own story, and around it whatever else people and deadlines can do to
// a step. Every part waits for the fact that ends it, so the records are there when the story is over.

import type { Actions, Anomalies } from '@andon/schemas'
import type { Stored } from '../harness/ledger.ts'
import { type Mesh, until } from '../harness/mesh.ts'

const doors = { actions: 7072, plant: 7090 } as const
const PATIENCE_MS = 240_000

/** A finding on the recorded furnace fan asks for one step of every kind of answer. Minutes are short: nobody waits for an hour. */
const furnacePolicy = {
  version: 1,
  name: 'policies/furnace-fan',
  when: 'finding.severity <= 3 && asset.id == "furnace-fan"',
  plan: [
    { step: 'inspection', command: 'inspection.create', params: { priority: 'high' }, approvals: 2, roles: ['operator', 'shift-lead'] },
    { step: 'recheck', command: 'inspection.create', params: { priority: 'normal' }, approvals: 1, fourEyes: true },
    { step: 'follow-up', command: 'inspection.create', params: { priority: 'normal' }, approvals: 2 },
    { step: 'calibration', command: 'inspection.create', params: {}, approvals: 1, roles: ['process-engineer'], expireMinutes: 10 },
    { step: 'overnight', command: 'inspection.create', params: {}, approvals: 1, expireMinutes: 1, escalateMinutes: 0.4 },
    { step: 'notify', command: 'notify.technicians', approvals: 0 },
  ],
  evidence: null,
  budget: { perLinePerHour: 2 },
  runbook: 'docs/runbooks/default.md',
}

/** The demo's policy for the press, with a review of the pause after seconds. */
const pressPolicy = {
  version: 1,
  name: 'policies/press-vibration',
  when: 'finding.severity <= 2 && asset.line == "press-line"',
  plan: [
    { step: 'inspection', command: 'inspection.create', params: { priority: 'high' }, approvals: 0 },
    { step: 'notify', command: 'notify.technicians', approvals: 0 },
    {
      step: 'pause',
      command: 'line.pause',
      params: { reviewMinutes: 1 },
      approvals: 1,
      roles: ['shift-lead', 'operator'],
      fourEyes: true,
      expireMinutes: 15,
      escalateMinutes: 5,
    },
  ],
  evidence: { beforeS: 10, afterS: 5 },
  budget: { perLinePerHour: 12 },
  runbook: 'docs/runbooks/press-vibration.md',
}

type Principal = 'operator' | 'shift-lead'
type Fact = Stored<Actions>

/** Lives through the story on a mesh that has just started; rejects when a part of it does not happen. */
export const live = async (mesh: Mesh, say: (what: string) => void): Promise<void> => {
  const story = new Story(mesh, say)
  await story.applyPolicies()
  await story.callForHelp()
  await story.holdEverything()
  await Promise.all([story.decideOnTheFurnace(), story.repairThePress()])
}

class Story {
  private readonly mesh: Mesh
  private readonly say: (what: string) => void

  constructor(mesh: Mesh, say: (what: string) => void) {
    this.mesh = mesh
    this.say = say
  }

  async applyPolicies(): Promise<void> {
    await this.ask('shift-lead', '/v1/config', { documents: [furnacePolicy, pressPolicy].map((body) => ({ name: body.name, body })) }, 200)
    for (const { name } of [furnacePolicy, pressPolicy])
      await this.fact(`${name} is applied`, ({ value }) => value.type === 'ConfigApplied' && value.title === name)
  }

  async callForHelp(): Promise<void> {
    const call = { line: 'press-line', title: 'Strange noise at the press' }
    await this.ask('operator', '/v1/calls', call, 200)
    await this.fact('the call opens an incident', ({ value }) => value.type === 'IncidentOpened' && value.title === call.title)
  }

  async holdEverything(): Promise<void> {
    const holdId = await this.hold('*')
    await this.lift(holdId)
    await until('the lift is in every partition', PATIENCE_MS, async () => {
      const lifted = (await this.facts()).filter(({ value }) => value.type === 'HoldLifted' && value.hold?.holdIds.includes(holdId))
      return new Set(lifted.map(({ partition }) => partition)).size === 12
    })
  }

  async decideOnTheFurnace(): Promise<void> {
    const proposed = (step: string) =>
      this.fact(
        `${step} is proposed for the furnace fan`,
        ({ value }) => value.type === 'StepProposed' && value.assetId === 'furnace-fan' && value.title === step,
      )
    const inspection = await proposed('inspection')
    await this.decide('approve', inspection, 'operator')
    await this.decide('approve', inspection, 'shift-lead')
    await this.decide('reject', await proposed('recheck'), 'operator')
    const followUp = await proposed('follow-up')
    await this.decide('approve', followUp, 'operator')
    await this.decide('revoke', followUp, 'shift-lead')
    await this.decide('approve', followUp, 'shift-lead', 409)
    await this.decide('approve', await proposed('calibration'), 'operator', 403)
    const overnight = await proposed('overnight')
    await this.end(inspection, 'Executed')
    await this.end(overnight, 'StepExpired')
    this.say('the furnace fan’s steps are approved twice, rejected, revoked, refused and expired')
  }

  async repairThePress(): Promise<void> {
    const { mesh } = this
    await mesh.call('POST', doors.plant, '/inject/bearing-wear')
    const pause = await this.fact(
      'a pause is proposed',
      ({ value }) => value.assetId === 'press-1' && value.proposal?.command.command === 'line.pause',
    )
    const { incidentId } = pause.value
    await this.decide('approve', pause, 'operator', 409, '0'.repeat(64))
    const inspection = await this.fact(
      'an inspection is proposed',
      ({ value }) => value.incidentId === incidentId && value.type === 'StepProposed' && value.title === 'inspection',
    )
    await this.decide('approve', inspection, 'operator')
    await this.ask('operator', `/v1/incidents/${incidentId}/evidence`, { beforeS: 5, afterS: 1 }, 200)
    const holdId = await this.hold('press-line')
    await this.decide('approve', pause, 'operator')
    await this.lift(holdId)
    await this.end(pause, 'Executing')
    await mesh.kill('actions')
    this.say('the actions service was killed with the pause under way: it will be read back')
    await this.end(pause, 'Executed')
    const second = await this.fact(
      'a pause is proposed for the press that rests',
      ({ value }) => value.assetId === 'press-1-process' && value.proposal?.command.command === 'line.pause',
    )
    await this.decide('approve', second, 'shift-lead')
    await this.fact(
      'the second pause has an outcome',
      ({ value }) => value.stepId === second.value.stepId && (value.execution?.outcome ?? null) !== null,
    )
    await mesh.kill('clustering')
    await this.fact(
      'the pause is reviewed',
      ({ value }) => value.type === 'TimerFired' && value.stepId === pause.value.stepId && value.timer?.name === 'review',
    )
    await mesh.call('POST', doors.plant, '/reset')
    await this.finding('the press is well again', ({ value }) => value.type === 'EpisodeClosed' && value.assetId === 'press-1')
    await mesh.call('POST', doors.plant, '/inject/sensor-stuck', { body: { channel: 'pressureBar' } })
    await this.finding('a sensor stands still', ({ value }) => value.type === 'SensorFault')
    await this.fact('the incident is over', ({ value }) => value.type === 'IncidentClosed' && value.incidentId === incidentId)
  }

  private async hold(scope: string): Promise<string> {
    const body = (await this.ask('operator', '/v1/holds', { scope, reason: 'Somebody is in the cell' }, 200)) as { holdId: string }
    return body.holdId
  }

  private async lift(holdId: string): Promise<void> {
    await this.ask('shift-lead', `/v1/holds/${holdId}/lift`, { reason: 'The cell is clear' }, 200)
  }

  private async decide(
    verb: 'approve' | 'reject' | 'revoke',
    { value }: Fact,
    as: Principal,
    status = 200,
    commandHash?: string,
  ): Promise<void> {
    const hash = commandHash ?? value.proposal?.command.commandHash
    await this.ask(as, `/v1/steps/${value.stepId}/${verb}`, { reason: `${verb} ${value.title}`, commandHash: hash }, status)
  }

  private async end(proposed: Fact, type: string): Promise<void> {
    await this.fact(`${proposed.value.title} ends as ${type}`, ({ value }) => value.type === type && value.stepId === proposed.value.stepId)
  }

  private async ask(as: Principal, path: string, body: unknown, status: number): Promise<unknown> {
    // the door is away while its service starts again
    const answer = await until(`the door takes ${path}`, PATIENCE_MS, () => this.mesh.call('POST', doors.actions, path, { as, body }))
    // 202: decided later; whoever needs the outcome waits for its fact
    if (answer.status !== status && answer.status !== 202)
      throw new Error(`POST ${path} as ${as}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }

  private facts(): Promise<Fact[]> {
    return this.mesh.read<Actions>('actions')
  }

  private async fact(what: string, isIt: (fact: Fact) => boolean): Promise<Fact> {
    const found = await until(what, PATIENCE_MS, async () => (await this.facts()).find(isIt))
    this.say(what)
    return found
  }

  private async finding(what: string, isIt: (finding: Stored<Anomalies>) => boolean): Promise<void> {
    await until(what, PATIENCE_MS, async () => (await this.mesh.read<Anomalies>('anomalies')).find(isIt))
    this.say(what)
  }
}
