// Measures a model of a repository folder against the latency target it declares, before it is released:
// `node services/inference/src/measure-model.ts --repository DIR --model NAME [--version N] [--runs 1000]`. Ends with 1 when it is over.

import { parseArgs } from 'node:util'
import { messageOf } from '@andon/kit'
import { measureModel } from './repository/measure.ts'
import { targetText } from './serving/latency.ts'

const { values } = parseArgs({
  options: {
    repository: { type: 'string' },
    model: { type: 'string' },
    version: { type: 'string', default: '' },
    runs: { type: 'string', default: '1000' },
  },
})
const runs = Number(values.runs)
if (values.repository === undefined || values.model === undefined || !Number.isInteger(runs) || runs < 1) {
  console.error('Usage: measure-model.ts --repository DIR --model NAME [--version N] [--runs 1000]')
  process.exitCode = 2
} else {
  try {
    const { version, provider, rows, latency } = await measureModel({ ...values, repository: values.repository, model: values.model, runs })
    const { p50Ms, p95Ms, p99Ms, targets, isWithin } = latency
    const ms = (value: number | undefined): string => (value === undefined ? '-' : value.toFixed(3))
    console.log(`${values.model} version ${version} on ${provider}, ${latency.runs} runs of ${rows} rows, one after another`)
    console.table({
      'measured, ms': { p50: ms(p50Ms), p95: ms(p95Ms), p99: ms(p99Ms) },
      'target, ms': { p50: '-', p95: ms(targets.p95Ms), p99: ms(targets.p99Ms) },
    })
    const hasTarget = targets.p95Ms !== undefined || targets.p99Ms !== undefined
    console.log(hasTarget ? targetText(latency) : 'no target: the parameters andon_target_p95_ms and andon_target_p99_ms declare one')
    if (!isWithin) process.exitCode = 1
  } catch (error) {
    console.error(messageOf(error))
    process.exitCode = 2
  }
}
