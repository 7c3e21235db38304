// andon policy: checks policies, and tries them on recorded findings. The actions service's own code does both.

import { runScript } from '../features/tool.ts'
import type { Context } from '../context.ts'
import { parseTimeMs } from '../data/when.ts'

const TOOL = 'services/actions/src/policy-tool.ts'

export interface PolicyTestOptions {
  readonly from: string
  readonly to?: string
  readonly policy?: string
  readonly against?: string
  readonly json?: boolean
}

/** Ends with exit code 1 when there is a fault. */
export const lintPolicies = (context: Context, folder: string, options: { json?: boolean }): Promise<void> =>
  runScript(context, TOOL, ['lint', folder, ...(options.json ? ['--json'] : [])])

/** Ends with exit code 1 when a finding gets another plan. */
export const testPolicy = (context: Context, options: PolicyTestOptions): Promise<void> => {
  const nowMs = Date.now()
  const time = (option: string, text: string): string[] => [option, new Date(parseTimeMs(option, text, nowMs)).toISOString()]
  const given = (option: string, value: string | undefined): string[] => (value === undefined ? [] : [option, value])
  return runScript(context, TOOL, [
    'test',
    ...time('--from', options.from),
    ...time('--to', options.to ?? 'now'),
    ...given('--policy', options.policy),
    ...given('--against', options.against),
    ...(options.json ? ['--json'] : []),
  ])
}
