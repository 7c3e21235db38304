// A small mesh for actions alone: its topics and documents, the line as an edge executor with its ledger, the log as an outsider folds
// it, and actions processes that can be told where to fall.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createWriteStream, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { emptyState, evolve } from '@andon/decisions'
import type { State, Step } from '@andon/decisions'
import { createLogger, openCodec, partitionOf } from '@andon/kit'
import type { Codec, Log } from '@andon/kit'
import { createLine, startLineNats } from '@andon/steel-plant'
import type { Line, LineGuards } from '@andon/steel-plant'
import type { Actions } from '@andon/schemas'
import { openActionsLog } from '../../../services/actions/src/actions-log.ts'
import type { ActionsLog } from '../../../services/actions/src/actions-log.ts'
import { decisionRequest } from '../../../services/actions/src/requests.ts'
import { findingOf, plantDocuments, publishDocuments, raise, settingsIn, TOPICS } from '../../../services/actions/test/rig.ts'
import { until } from '../rig.ts'
import type { Scene } from '../rig.ts'
import type { Armed } from './worker.ts'

const PARTITIONS = 2
const LINE = 'press-line'

/** Small, so that unknown outcomes are settled within seconds. */
export const COMMAND = { commandWindowMs: 1_200, maxLatencyMs: 300, withinMs: 700, maxStopMs: 200 }

export interface Fact {
  readonly record: Actions
  readonly offset: number
  readonly appendedMs: number
}

export interface Member {
  readonly pid: number
  /** Resolves when the process has gone. */
  readonly exited: Promise<void>
  /** Points at which it fell, oldest first. */
  readonly fell: readonly string[]
  readonly hasExited: () => boolean
  /** `undefined`: nowhere any more. */
  arm(where?: Armed): void
  resume(): void
  kill(): Promise<void>
}

export interface Place {
  readonly line: Line
  /** Everything on the line's partition that counted, as an outsider folds it. */
  readonly facts: readonly Fact[]
  readonly state: State
  start(instance: string): Member
  /** Reads to the end of the partition. */
  look(): Promise<void>
  /** A finding and, when it is there, the pause it proposes. */
  propose(episode: string, meanwhile?: () => void): Promise<Step>
  /** Another try is another person's: the same word of the same person is one request. */
  decide(verb: 'approve' | 'reject', step: Step, tries?: number): Promise<void>
  /** How often the owner refused a person's word on the step. */
  refusals(stepId: string): number
  /** What the log says of the step and of its target's breaker, for people. */
  told(stepId: string): string
  step(id: string): Step
}

export const openPlace = async (
  scene: Scene,
  name: string,
  { registryUrl, natsUrl, guards }: { registryUrl: string; natsUrl: string; guards?: LineGuards },
): Promise<Place> => {
  const namespace = `${name}.`
  const log = await scene.openLog({ namespace })
  const codec = await openCodec({ registryUrl, namespace })
  await log.admin.ensureTopics(
    TOPICS.map((topic) => ({
      name: topic,
      partitions: topic === 'config' || topic === 'models' || topic === 'devices' ? 1 : PARTITIONS,
      configs: topic === 'actions' ? { 'message.timestamp.type': 'LogAppendTime' } : {},
    })),
  )
  await publishDocuments(log, codec, plantDocuments({}, onlyPauses))
  const line = createLine(40, guards)
  const edge = await startLineNats({ url: natsUrl, subject: `${namespace}edge.${LINE}`, line })
  scene.defer(() => edge.stop())
  const dir = join(scene.dir, name)
  mkdirSync(dir, { recursive: true })
  const settings = settingsIn(dir, {
    ANDON_KAFKA_BROKERS: scene.kafka.brokers.join(','),
    ANDON_REGISTRY_URL: registryUrl,
    ANDON_NATS_URL: natsUrl,
    ANDON_NAMESPACE: namespace,
    ANDON_LOG_LEVEL: 'info',
    ANDON_PARENT_PID: String(process.pid),
    ACTIONS_ROLE: 'owner',
    ACTIONS_MAX_STOP_MS: String(COMMAND.maxStopMs),
  })
  return placeOf({ scene, name, log, codec, line, settings })
}

interface Parts {
  readonly scene: Scene
  readonly name: string
  readonly log: Log
  readonly codec: Codec
  readonly line: Line
  readonly settings: Readonly<Record<string, string>>
}

const placeOf = ({ scene, name, log, codec, line, settings }: Parts): Place => {
  const actionsLog: ActionsLog = openActionsLog(log, codec, createLogger({ service: 'faults', level: 'silent' }))
  const partition = partitionOf(LINE, PARTITIONS)
  const state = emptyState()
  const facts: Fact[] = []
  let next = 0
  const look = async (): Promise<void> => {
    next = await actionsLog.read(partition, next, (entry) => {
      if (evolve(state, entry) === 'counted')
        facts.push({ record: entry.record, offset: entry.offset, appendedMs: entry.appendedUs / 1000 })
    })
  }
  return {
    line,
    facts,
    state,
    look,
    start: (instance) => startMember(scene, { ...settings, ANDON_INSTANCE: instance }, `${name}-${instance}`),
    async propose(episode, meanwhile = () => undefined) {
      await raise(log, codec, findingOf({ findingId: `f-${episode}`, episodeId: `e-${episode}` }))
      let found: Step | undefined
      await until(`a pause proposed for ${name} ${episode}`, async () => {
        meanwhile()
        await look()
        const incident = [...state.incidents.values()].find((one) => one.finding?.episodeId === `e-${episode}`)
        found = incident?.stepIds.map((id) => state.steps.get(id)).find((one) => one?.name === 'pause')
        return found !== undefined
      })
      return found as Step
    },
    async decide(verb, step, tries = 0) {
      const body = { reason: 'looked at it', commandHash: step.proposal.command.commandHash }
      const principal = { id: `p-operator-${tries}`, name: 'operator', roles: ['operator'] }
      await actionsLog.append(partition, [decisionRequest(verb, step, body, principal as never, Date.now() * 1000)])
    },
    refusals: (stepId) => facts.filter(({ record }) => record.type === 'RequestRefused' && record.stepId === stepId).length,
    told(stepId) {
      const said = facts.filter(({ record }) => record.stepId === stepId).map(({ record }) => record.refusal?.code ?? record.type)
      return `${said.join(', ')}; breakers ${JSON.stringify([...state.breakers.values()])}`
    },
    step(id) {
      const step = state.steps.get(id)
      if (!step) throw new Error(`no step ${id}`)
      return step
    },
  }
}

/** The plant of the demo, reached over NATS, with a policy that proposes pauses without end. */
const onlyPauses = (name: string, value: Record<string, unknown>): void => {
  if (name === 'plant') {
    const [line] = value['lines'] as Record<string, unknown>[]
    Object.assign(line as object, { controlSystem: { kind: 'nats', subject: `edge.${LINE}`, simulated: true } })
    value['notifications'] = { webhooks: [] }
  }
  if (name === 'policies/press-vibration') {
    value['plan'] = (value['plan'] as Record<string, unknown>[]).filter((step) => step['step'] === 'pause')
    value['budget'] = { perLinePerHour: 100_000 }
  }
  if (name !== 'commands') return
  for (const command of value['commands'] as Record<string, unknown>[])
    if (command['name'] === 'line.pause')
      Object.assign(command, {
        executor: 'nats',
        preconditions: ['modeAutomatic', 'noEmergencyStop', 'interlocksClosed'],
        commandWindowMs: COMMAND.commandWindowMs,
        maxLatencyMs: COMMAND.maxLatencyMs,
        readBack: { state: 'paused', withinMs: COMMAND.withinMs },
        limits: { perHour: 1_000_000 },
      })
}

const startMember = (scene: Scene, env: Readonly<Record<string, string>>, label: string): Member => {
  const child: ChildProcess = spawn(process.execPath, [join(import.meta.dirname, 'worker.ts')], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  child.on('error', () => undefined)
  const out = createWriteStream(join(scene.dir, `${label}.log`), { flags: 'a' })
  child.stderr?.pipe(out)
  const fell: string[] = []
  if (child.stdout)
    createInterface({ input: child.stdout }).on('line', (text) => {
      if (text.startsWith('{"fell"')) fell.push((JSON.parse(text) as { fell: string }).fell)
      else out.write(`${text}\n`)
    })
  let isGone = false
  const exited = new Promise<void>((resolve) =>
    child.once('close', () => {
      isGone = true
      resolve()
    }),
  )
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exited
  }
  scene.defer(kill)
  return {
    pid: child.pid ?? 0,
    exited,
    fell,
    hasExited: () => isGone,
    arm: (where) => void (child.connected && child.send({ where }, () => undefined)),
    resume: () => void child.kill('SIGCONT'),
    kill,
  }
}
