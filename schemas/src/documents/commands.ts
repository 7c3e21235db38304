// commands.yaml: the only commands that can exist. What is not said here about a command is not guessed:
// without effect, modes, hazard of stopping, preconditions, read-back, limits and maximum latency it does not load.

import { z } from 'zod'
import { readDocument } from './read.ts'
import type { Fault, ReadOptions } from './read.ts'

const parameter = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('integer'), min: z.int(), max: z.int(), default: z.int().optional() }),
  z.strictObject({ type: z.literal('number'), min: z.number(), max: z.number(), unit: z.string().min(1), default: z.number().optional() }),
  z.strictObject({ type: z.literal('string'), enum: z.array(z.string()).min(1), default: z.string().optional() }),
  z.strictObject({ type: z.literal('boolean'), default: z.boolean().optional() }),
])

const commandShape = z.strictObject({
  name: z.string().regex(/^[a-z]+(\.[a-z-]+)+$/, 'a name like line.pause'),
  title: z.string().min(1),
  executor: z.enum(['opcua', 'sparkplug', 'nats', 'notify', 'job']),
  target: z.strictObject({ kind: z.enum(['line', 'asset']) }),
  effect: z.enum(['none', 'notify', 'record', 'motion', 'energy']),
  /** Stays as it is until a person and the control system's own reset end it. */
  latched: z.boolean().default(false),
  /** i: refuses late ids; ii: refuses repeated ids and can burn one; iii: refuses nothing, so it must be latched. */
  class: z.enum(['i', 'ii', 'iii']),
  riskClass: z.enum(['low', 'medium', 'high']),
  allowedModes: z.array(z.string().min(1)).min(1),
  hazardOfStop: z.string().min(1),
  preconditions: z.array(z.string().min(1)),
  readBack: z.strictObject({
    state: z.string().min(1),
    withinMs: z.int().positive(),
    /** Parameter whose value must be read back as well, give or take the tolerance. */
    value: z.strictObject({ param: z.string().min(1), tolerance: z.number().min(0) }).optional(),
  }),
  params: z.record(z.string(), parameter).default({}),
  limits: z.strictObject({ perHour: z.int().positive() }),
  /** Longest time between sending and the target's decision, ms. */
  maxLatencyMs: z.int().positive(),
  /** From `Executing` to `notAfter`, ms. */
  commandWindowMs: z.int().positive(),
  simulated: z.boolean().default(false),
})

const commandsShape = z.strictObject({ version: z.literal(1), commands: z.array(commandShape).min(1) })

export type Commands = z.output<typeof commandsShape>
export type CommandDefinition = Commands['commands'][number]
export type CommandParameter = z.output<typeof parameter>

/** True when the command moves or stops something: it needs a human whatever a policy says. */
export const actsOnPlant = (command: Pick<CommandDefinition, 'effect'>): boolean =>
  command.effect === 'motion' || command.effect === 'energy'

/** Reads a command catalogue; refuses one with a command that is not fully described. */
export const parseCommands = (source: unknown, options: ReadOptions = {}): Commands =>
  readDocument(commandsShape, source, { file: 'commands.yaml', ...options }, faults)

const faults = (catalogue: Commands): Fault[] => {
  const seen = new Set<string>()
  return catalogue.commands.flatMap((command, i) => {
    const at = (...path: (string | number)[]) => ['commands', i, ...path]
    const found: Fault[] = []
    if (seen.has(command.name)) found.push({ path: at('name'), expected: 'a name that is used once' })
    seen.add(command.name)
    if (command.class === 'iii' && !command.latched) {
      found.push({ path: at('class'), expected: 'class i or ii, or a latched command: a target that refuses nothing may repeat it' })
    }
    if (command.class === 'iii' && command.effect === 'energy')
      found.push({ path: at('class'), expected: 'class i or ii for effect energy' })
    if (actsOnPlant(command)) {
      if (command.hazardOfStop.toLowerCase() === 'none') found.push({ path: at('hazardOfStop'), expected: 'what stopping it endangers' })
      if (command.preconditions.length === 0) found.push({ path: at('preconditions'), expected: 'at least one precondition' })
      if (command.allowedModes.includes('any')) found.push({ path: at('allowedModes'), expected: 'named operating modes instead of any' })
    }
    const readBackParam = command.readBack.value?.param
    if (readBackParam !== undefined && !isNumeric(command.params[readBackParam]))
      found.push({ path: at('readBack', 'value', 'param'), expected: 'the name of an integer or number among params' })
    if (command.commandWindowMs <= command.maxLatencyMs) found.push({ path: at('commandWindowMs'), expected: 'more than maxLatencyMs' })
    for (const [name, definition] of Object.entries(command.params)) found.push(...defaultFaults(definition, at('params', name)))
    return found
  })
}

const isNumeric = (definition: CommandParameter | undefined): boolean => definition?.type === 'integer' || definition?.type === 'number'

const defaultFaults = (definition: CommandParameter, path: Fault['path']): Fault[] => {
  if ('min' in definition && definition.min > definition.max) return [{ path: [...path, 'min'], expected: `at most ${definition.max}` }]
  if (definition.default === undefined) return []
  const fault = parameterFault(definition, definition.default)
  return fault === undefined ? [] : [{ path: [...path, 'default'], expected: fault }]
}

const parameterFault = (definition: CommandParameter, value: unknown): string | undefined => {
  switch (definition.type) {
    case 'integer':
    case 'number': {
      const kind = definition.type === 'integer' ? Number.isSafeInteger(value) : Number.isFinite(value)
      const fits = kind && (value as number) >= definition.min && (value as number) <= definition.max
      return fits ? undefined : `${definition.type === 'integer' ? 'an integer' : 'a number'} from ${definition.min} to ${definition.max}`
    }
    case 'string':
      return definition.enum.includes(value as string) ? undefined : definition.enum.map((each) => JSON.stringify(each)).join(' or ')
    case 'boolean':
      return typeof value === 'boolean' ? undefined : 'true or false'
  }
}

/** Parameters checked and completed with defaults, or what is wrong with the first bad one. */
export const checkParams = (
  command: Pick<CommandDefinition, 'params'>,
  given: Readonly<Record<string, unknown>>,
): { readonly params: Record<string, unknown> } | { readonly param: string; readonly expected: string } => {
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(command.params, name))
  if (unknown !== undefined) return { param: unknown, expected: 'no such parameter' }
  const params: Record<string, unknown> = {}
  for (const [name, definition] of Object.entries(command.params)) {
    const value = given[name] ?? definition.default
    const expected = parameterFault(definition, value)
    if (expected !== undefined) return { param: name, expected }
    params[name] = value
  }
  return { params }
}
