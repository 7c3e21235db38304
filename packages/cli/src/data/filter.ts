// Filters in CEL over one shown record: key, value, headers, timestamp, partition, offset, topic, type, id.

import { Environment } from '@marcbachmann/cel-js'
import { AndonError, messageOf } from '@andon/kit/errors'
import type { ShownRecord } from './readable.ts'

export interface Filter {
  /** True when the expression holds; false when it does not, or names a field that this record lacks. */
  matches(record: ShownRecord): boolean
  /** Records on which the expression failed so far, and the first reason: all of them is a mistake in the expression. */
  readonly failed: { count: number; reason: string }
}

const environment = new Environment()
  .registerVariable('key', 'dyn')
  .registerVariable('value', 'dyn')
  .registerVariable('headers', 'map')
  .registerVariable('timestamp', 'google.protobuf.Timestamp')
  .registerVariable('partition', 'dyn')
  .registerVariable('offset', 'dyn')
  .registerVariable('topic', 'string')
  .registerVariable('ce_type', 'dyn')
  .registerVariable('id', 'dyn')

/** In CEL `type` alone names a type; in a filter it is the record's, as the function type(x) and fields .type stay what they are. */
const withType = (expression: string): string =>
  expression.replaceAll(
    /("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?<![.\w])type(?!\s*\(|\w)/g,
    (_found, quoted?: string) => quoted ?? 'ce_type',
  )

/** Throws ANDON_CLI_FILTER with the place of the mistake. */
export const filterOf = (expression: string): Filter => {
  let holds: (context: Record<string, unknown>) => unknown
  try {
    const parsed = environment.parse(withType(expression))
    const checked = parsed.check()
    if (!checked.valid) throw checked.error ?? new Error('not valid')
    if (checked.type !== 'bool' && checked.type !== 'dyn') throw new Error(`gives ${checked.type}, expected true or false`)
    holds = parsed as typeof holds
  } catch (error) {
    throw new AndonError('ANDON_CLI_FILTER', `--filter: ${messageOf(error)}`, { status: 400, cause: error })
  }
  const failed = { count: 0, reason: '' }
  return {
    failed,
    matches: (record) => {
      try {
        const { key, value, headers, partition, offset, topic, type, id } = record
        return holds({ key, value, headers, timestamp: new Date(record.timestampMs), partition, offset, topic, ce_type: type, id }) === true
      } catch (error) {
        failed.count += 1
        if (failed.count === 1) failed.reason = messageOf(error).split('\n', 1)[0] ?? ''
        return false
      }
    },
  }
}
