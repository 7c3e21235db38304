// Trace and log settings, one set for both doors. A traced request leaves one line in the log; log settings change what the service
// writes there. Nothing is kept: a restart has the settings of the start again.

import type { Logger } from '@andon/kit'
import { invalidRequest, unsupported } from '../errors.ts'

/** As Triton names them; numbers are texts there. */
export interface TraceSettings {
  readonly trace_level: readonly string[]
  readonly trace_rate: string
  readonly trace_count: string
  readonly log_frequency: string
  readonly trace_file: string
  readonly trace_mode: string
}

export interface LogSettings {
  readonly log_file: string
  readonly log_info: boolean
  readonly log_warning: boolean
  readonly log_error: boolean
  readonly log_verbose_level: number
  readonly log_format: string
}

/** null: as it was at the start, or as it is for all models. A setting that is left out stays. */
export type TraceChanges = Readonly<Record<string, readonly string[] | string | null>>
export type LogChanges = Readonly<Record<string, boolean | number | string | null>>

export interface DoorSettings {
  /** Empty model: what holds for all that have none of their own. */
  trace(model: string): TraceSettings
  changeTrace(model: string, changes: TraceChanges): TraceSettings
  log(): LogSettings
  changeLog(changes: LogChanges): LogSettings
  /** Called once per request; writes the line of a request that is traced. */
  traced(request: { readonly model: string; readonly id: string; readonly door: string; readonly durationMs: number }): void
}

const atStart: TraceSettings = {
  trace_level: ['OFF'],
  trace_rate: '1000',
  trace_count: '-1',
  log_frequency: '0',
  trace_file: '',
  trace_mode: 'triton',
}
const levels = ['OFF', 'TIMESTAMPS', 'TENSORS']

export const doorSettings = (logger: Logger): DoorSettings => {
  const ofModel = new Map<string, Partial<TraceSettings>>()
  const seen = new Map<string, number>()
  let isInfo = logger.isLevelEnabled('info')
  let isWarning = logger.isLevelEnabled('warn')
  let isError = logger.isLevelEnabled('error')
  let verboseLevel = logger.isLevelEnabled('trace') ? 2 : logger.isLevelEnabled('debug') ? 1 : 0

  const trace = (model: string): TraceSettings => ({ ...atStart, ...ofModel.get(''), ...(model === '' ? {} : ofModel.get(model)) })
  const isTracing = (): boolean => ofModel.size > 0

  return {
    trace,
    changeTrace(model, changes) {
      const changed: Record<string, string | readonly string[]> = { ...ofModel.get(model) }
      for (const [name, value] of Object.entries(changes)) {
        if (value === null || (Array.isArray(value) && value.length === 0)) delete changed[name]
        else changed[name] = traceValue(name, value)
      }
      if (Object.keys(changed).length === 0) ofModel.delete(model)
      else ofModel.set(model, changed)
      for (const name of model === '' ? [...seen.keys()] : [model]) seen.delete(name)
      return trace(model)
    },
    log: () => settings(),
    changeLog(changes) {
      const wanted = { ...settings() } as Record<string, unknown>
      for (const [name, value] of Object.entries(changes)) if (value !== null) wanted[name] = logValue(name, value, settings())
      isInfo = wanted['log_info'] as boolean
      isWarning = wanted['log_warning'] as boolean
      isError = wanted['log_error'] as boolean
      verboseLevel = wanted['log_verbose_level'] as number
      logger.level = levelOf()
      return settings()
    },
    traced(request) {
      if (!isTracing()) return
      const { trace_level: level, trace_rate: rate, trace_count: count } = trace(request.model)
      if (level.includes('OFF')) return
      const number = (seen.get(request.model) ?? 0) + 1
      seen.set(request.model, number)
      const every = Math.max(1, Number(rate))
      if (number % every !== 0 || (Number(count) >= 0 && number / every > Number(count))) return
      logger.info(request, 'a request that is traced was answered')
    },
  }

  function settings(): LogSettings {
    return {
      log_file: '',
      log_info: isInfo,
      log_warning: isWarning,
      log_error: isError,
      log_verbose_level: verboseLevel,
      log_format: 'default',
    }
  }

  /** The log has levels, where Triton has switches: the least severe one that is on. */
  function levelOf(): string {
    if (verboseLevel > 1) return 'trace'
    if (verboseLevel === 1) return 'debug'
    if (isInfo) return 'info'
    if (isWarning) return 'warn'
    return isError ? 'error' : 'fatal'
  }
}

const traceValue = (name: string, value: string | readonly string[]): string | readonly string[] => {
  const list = typeof value === 'string' ? [value] : value
  const refuse = (expected: string): Error => invalidRequest(`${name}: expected ${expected}, got ${list.join(', ')}`)
  if (name === 'trace_level') {
    if (!list.every((level) => levels.includes(level)) || (list.includes('OFF') && list.length > 1)) {
      throw refuse('OFF alone, or TIMESTAMPS and TENSORS')
    }
    return list
  }
  const [one = ''] = list
  switch (name) {
    case 'trace_rate':
    case 'log_frequency':
      if (list.length !== 1 || !/^\d{1,9}$/.test(one)) throw refuse('a number from 0')
      return one
    case 'trace_count':
      if (list.length !== 1 || !/^(?:-1|\d{1,9})$/.test(one)) throw refuse('a number from -1, which is no limit')
      return one
    case 'trace_file':
      if (one !== '') throw unsupported('trace_file: traces are lines of the log here, and no file of the server is written')
      return one
    case 'trace_mode':
      if (one !== 'triton') throw refuse('triton')
      return one
    default:
      throw refuse(`a setting of traces: ${Object.keys(atStart).join(', ')}`)
  }
}

const logValue = (name: string, value: boolean | number | string, now: LogSettings): unknown => {
  const refuse = (expected: string): Error => invalidRequest(`${name}: expected ${expected}, got ${String(value)}`)
  switch (name) {
    case 'log_info':
    case 'log_warning':
    case 'log_error':
      if (typeof value !== 'boolean') throw refuse('true or false')
      return value
    case 'log_verbose_level':
      if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) throw refuse('a number from 0')
      return value
    case 'log_file':
      if (value !== '') throw unsupported('log_file: the log goes to standard output, and no file of the server is written')
      return value
    case 'log_format':
      if (value !== 'default' && value !== 'ISO8601') throw refuse('default or ISO8601')
      return now.log_format
    default:
      throw refuse(`a setting of the log: ${Object.keys(now).join(', ')}`)
  }
}
