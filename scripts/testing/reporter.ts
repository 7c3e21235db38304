// Reporter of node:test: one line per file, each failed test in full as soon as it is known with what its file printed, and the sum into the file ANDON_TEST_SUM.

import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import { inspect } from 'node:util'
import type { TestEvent } from 'node:test/reporters'

interface FileLine {
  passed: number
  failed: number
  skipped: number
  durationMs: number
}

const root = process.cwd()
const place = (file: string | undefined, line?: number): string =>
  file === undefined ? '' : `${relative(root, file)}${line === undefined ? '' : `:${line}`}`

const failureText = (name: string, where: string, error: unknown): string => {
  const wrapped = error as { cause?: unknown; failureType?: string } | undefined
  const cause = wrapped?.cause ?? error
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : inspect(cause, { depth: 4 })
  const details =
    cause instanceof Error && 'expected' in cause
      ? `\nexpected: ${inspect(cause.expected, { depth: 4 })}\nactual:   ${inspect((cause as { actual?: unknown }).actual, { depth: 4 })}`
      : ''
  return `\n✖ ${name}\n  ${where}\n${`${text}${details}`.replace(/^/gm, '    ')}\n`
}

export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const files = new Map<string, FileLine>()
  const total = { passed: 0, failed: 0, skipped: 0 }
  const failures: string[] = []
  const parents: string[] = []
  const output = new Map<string, string>()
  for await (const event of source) {
    if (event.type === 'test:start') parents.splice(event.data.nesting, parents.length, event.data.name)
    if (event.type === 'test:stderr' || event.type === 'test:stdout') {
      if (process.env['ANDON_TEST_OUTPUT'] === '1') yield event.data.message
      const file = event.data.file ?? ''
      output.set(file, `${output.get(file) ?? ''}${event.data.message}`.slice(-8000))
      continue
    }
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue
    const { name, nesting, details, file, line } = event.data
    if (details.type === 'suite') {
      // A suite that fails by itself, not by a test of its own: its hook did.
      const error = event.type === 'test:fail' ? event.data.details.error : undefined
      if (error !== undefined && (error as { failureType?: string }).failureType !== 'subtestsFailed')
        yield failureText([...parents.slice(0, nesting), name].join(' › '), place(file, line), error)
      continue
    }
    const key = file ?? '(no file)'
    const count = files.get(key) ?? { passed: 0, failed: 0, skipped: 0, durationMs: 0 }
    files.set(key, count)
    if (nesting === 0) count.durationMs += details.duration_ms
    const isSkipped = event.data.skip !== undefined || event.data.todo !== undefined
    const outcome = isSkipped ? 'skipped' : event.type === 'test:pass' ? 'passed' : 'failed'
    count[outcome] += 1
    total[outcome] += 1
    if (outcome === 'failed') failures.push(`${[...parents.slice(0, nesting), name].join(' › ')} (${place(file, line)})`)
    const error = event.type === 'test:fail' ? event.data.details.error : undefined
    if (outcome === 'failed' && (error as { failureType?: string } | undefined)?.failureType !== 'subtestsFailed') {
      yield failureText([...parents.slice(0, nesting), name].join(' › '), place(file, line), error)
    }
    if (isSkipped) yield `- skipped: ${name} (${place(file, line)})${typeof event.data.skip === 'string' ? `: ${event.data.skip}` : ''}\n`
  }
  for (const [file, count] of files) {
    const text = output.get(file)?.trimEnd()
    if (count.failed > 0 && text) yield `\nOutput of ${place(file)}:\n${text.replace(/^/gm, '    ')}\n`
  }
  for (const [file, count] of [...files].sort((a, b) => a[0].localeCompare(b[0]))) {
    const mark = count.failed > 0 ? '✖' : '✔'
    yield `${mark} ${place(file)}: ${count.passed} passed${count.failed > 0 ? `, ${count.failed} failed` : ''}${count.skipped > 0 ? `, ${count.skipped} skipped` : ''} (${(count.durationMs / 1000).toFixed(1)} s)\n`
  }
  const sumFile = process.env['ANDON_TEST_SUM']
  if (sumFile !== undefined) writeFileSync(sumFile, JSON.stringify({ ...total, failures }))
}
