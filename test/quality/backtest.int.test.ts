// `andon backtest` as a stranger runs it: the command, its files, its errors. Scores are those of the detectors, bit for bit as far as
// they are written, because the code is the one that runs live.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fitMultivariate } from '@andon/clustering/detectors/multivariate-fit'
import { openMultivariate } from '@andon/clustering/detectors/multivariate'
import { matrixOf, rowOf } from '@andon/clustering/matrix'
import { randomFrom } from '@andon/clustering/random'
import { repositoryRoot } from '@andon/platform'
import { parseCsv, slice } from './recordings.ts'

const folder = mkdtempSync(join(tmpdir(), 'andon-backtest-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const LEARNED = 220
const ROWS = 600
const FAULT = [420, 500] as const

const random = randomFrom(7)
const rows = Array.from({ length: ROWS }, (_, t) => {
  const isFault = t >= FAULT[0] && t < FAULT[1]
  return Float64Array.from([20, 5, -3], (level, j) => Number((level + random.normal() + (isFault && j === 1 ? 6 : 0)).toFixed(4)))
})
const at = (row: number): string => new Date(Date.parse('2026-11-23T08:00:00Z') + 1000 * row).toISOString().slice(0, 19).replace('T', ' ')

const file = (name: string, lines: readonly string[]): string => {
  writeFileSync(join(folder, name), `${lines.join('\n')}\n`)
  return join(folder, name)
}
const plain = file('run.csv', ['time,temperature,pressure,flow', ...rows.map((row, t) => [at(t), ...row].join(','))])
const labels = file('labels.csv', [`${at(FAULT[0])},${at(FAULT[1] - 1)}`])

const backtest = (...options: string[]) => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(repositoryRoot, 'packages/cli/src/main.ts'), 'backtest', ...options],
    { encoding: 'utf8' },
  )
  return { status, stdout, stderr }
}

const scoresIn = (out: string): Record<string, string>[] => {
  const { header, rows: lines } = parseCsv(readFileSync(join(out, 'scores.csv'), 'utf8'))
  return lines.map((cells) => Object.fromEntries(header.map((name, i) => [name, cells[i] ?? ''])))
}

test('every row has a line with its time as given; scores and flags are those of the detectors', () => {
  const out = join(folder, 'plain')
  const { status, stdout, stderr } = backtest('--input', plain, '--train-rows', String(LEARNED), '--labels', labels, '--out', out, '--json')
  assert.equal(status, 0, stderr)
  const values = matrixOf(rows)
  const stream = openMultivariate(fitMultivariate(slice(values, 0, LEARNED)), undefined, { periodUs: 1e6 })
  const scores = scoresIn(out)
  assert.equal(scores.length, ROWS)
  scores.forEach((line, t) => {
    assert.equal(line['time'], at(t))
    if (t < LEARNED) return assert.deepEqual([line['score'], line['flag']], ['0', '0'])
    const { ratio, isEpisodeOpen } = stream.push(rowOf(values, t), 1e6 * t)
    assert.equal(Number(line['score']), Number(ratio.toPrecision(6)), `row ${t}`)
    assert.equal(line['flag'], isEpisodeOpen ? '1' : '0', `row ${t}`)
  })
  const summary = JSON.parse(stdout) as { labels: { recall: number; detectedIntervals: number; intervals: number }; episodes: number }
  assert.ok(summary.labels.recall > 0.9)
  assert.deepEqual([summary.labels.detectedIntervals, summary.labels.intervals], [1, 1])
  const { header, rows: episodes } = parseCsv(readFileSync(join(out, 'episodes.csv'), 'utf8'))
  assert.equal(episodes.length, summary.episodes)
  assert.match(episodes[0]?.[header.indexOf('contributions')] ?? '', /^pressure:/)
  const report = readFileSync(join(out, 'report.html'), 'utf8')
  assert.doesNotMatch(report.replaceAll('http://www.w3.org/2000/svg', ''), /https?:\/\/|@import|src=/, 'the report needs no network')
})

test('the same recording in another dialect, beside another asset and in the folders of Lookout gives the same flags', () => {
  const options = ['--train-rows', String(LEARNED)]
  const flags = (out: string, of: (line: Record<string, string>) => boolean = () => true): string =>
    scoresIn(join(folder, out))
      .filter(of)
      .map(({ flag }) => flag)
      .join('')
  const comma = (value: number): string => String(value).replace('.', ',')
  const german = file('german.csv', [
    '\uFEFFZeit;Druckluft;Druck [bar];Menge;Bemerkung',
    ...rows.map((row, t) => [`23.11.2026 ${at(t).slice(11)}`, ...[...row].map(comma), '"gut; sagt er"'].join(';')),
  ])
  const both = file('both.csv', [
    'machine,time,a,b,c',
    ...rows.flatMap((row, t) => [`m1,${at(t)},${row.join(',')}`, `m2,${at(t)},${(rows[ROWS - 1 - t] as Float64Array).join(',')}`]),
  ])
  for (const [name, from, to] of [
    ['pump', 0, 2],
    ['valve', 2, 3],
  ] as const) {
    mkdirSync(join(folder, 'plant', name), { recursive: true })
    const sensors = Array.from({ length: to - from }, (_, i) => `s${i}`)
    file(`plant/${name}/part.csv`, [
      `Timestamp,${sensors.join(',')}`,
      ...rows.map((row, t) => `${at(t).replace(' ', 'T')}.000000,${row.slice(from, to).join(',')}`),
    ])
  }
  const runs = [
    backtest('--input', german, ...options, '--out', join(folder, 'german')),
    backtest('--input', both, '--asset-column', 'machine', ...options, '--out', join(folder, 'both')),
    backtest('--input', join(folder, 'plant'), '--lookout', ...options, '--out', join(folder, 'lookout')),
  ]
  for (const { status, stderr } of runs) assert.equal(status, 0, stderr)
  const expected = flags('plain')
  assert.match(expected, /1{50}/)
  assert.equal(flags('german'), expected)
  assert.equal(
    flags('both', ({ asset }) => asset === 'm1'),
    expected,
  )
  assert.equal(flags('lookout'), expected)
  const results = readFileSync(join(folder, 'lookout', 'results.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  assert.equal(results.length, ROWS - LEARNED)
  const found = results.find(({ prediction }) => prediction === 1) as {
    prediction_reason: string
    diagnostics: { name: string; value: number }[]
  }
  assert.equal(found.prediction_reason, 'ANOMALY_DETECTED')
  assert.equal(found.diagnostics.toSorted((a, b) => b.value - a.value)[0]?.name, 'pump\\s1')
})

test('what an export adds and how it arranges values change no flag: preamble, units, counted rows, two columns of times, a line per value', () => {
  const options = ['--train-rows', String(LEARNED)]
  const flags = (name: string, lines: readonly string[]): string => {
    const out = join(folder, name)
    const { status, stderr } = backtest('--input', file(`${name}.csv`, lines), ...options, '--out', out)
    assert.equal(status, 0, stderr)
    return scoresIn(out)
      .map(({ flag }) => flag)
      .join('')
  }
  const date = (row: number): string => at(row).slice(0, 10).split('-').toReversed().join('/')
  const expected = scoresIn(join(folder, 'plain'))
    .map(({ flag }) => flag)
    .join('')
  const export_ = ['# plant 7', 'made by hand', 'nr,Date,Clock,a,b,c', ',,,C,bar,m3/h']
  assert.equal(flags('export', [...export_, ...rows.map((row, t) => [t + 1, date(t), at(t).slice(11), ...row].join(','))]), expected)
  const long = rows.flatMap((row, t) => [...row].map((value, j) => `${at(t)},${'abc'[j]},${value}`))
  assert.equal(flags('long', ['timestamp,tag,value', ...long]), expected)
  // A stamp a minute for rows of seconds: the rows between are no silence.
  assert.equal(flags('stamps', ['time,a,b,c', ...rows.map((row, t) => [at(t - (t % 60)), ...row].join(','))]), expected)
})

test('the first unambiguous date says whether the day comes first, however late it is', () => {
  const day = (row: number): string =>
    `${String(1 + Math.floor(row / 40)).padStart(2, '0')}/01/2026 ${String(row % 24).padStart(2, '0')}:${row % 40}`
  const lines = [
    'time,a',
    ...rows.map((row, t) => `${day(t).replace(/\d\d:(\d+)$/, (_, m: string) => `08:${m.padStart(2, '0')}`)},${row[0]}`),
  ]
  const { status, stdout, stderr } = backtest('--input', file('days.csv', lines), '--out', join(folder, 'days'), '--json')
  assert.equal(status, 0, stderr)
  assert.doesNotMatch(stdout, /month first|not go forward/)
})

test('what is wrong is said once, with its line, and ends with exit code 2', () => {
  const out = ['--out', join(folder, 'wrong')]
  const said = (...options: string[]): string => {
    const { status, stderr } = backtest(...options, ...out)
    assert.equal(status, 2, stderr)
    return stderr
  }
  const lines = ['time,a', ...rows.map((row, t) => `${at(t)},${row[0]}`)]
  assert.match(said('--input', file('time.csv', lines.with(300, 'soon,1'))), /time\.csv:301: column time: expected a time .* found "soon"/)
  assert.match(said('--input', file('few.csv', lines.slice(0, 90))), /has 89 rows: with 100 to learn from there is none left to judge/)
  assert.match(said('--input', join(folder, 'none.csv')), /there is no such file/)
  assert.match(said('--input', file('book.csv', ['PK\u0003\u0004'])), /is a workbook or a zip archive/)
  assert.match(said('--input', plain, '--zone', 'Mars/Base'), /--zone: expected a zone as Europe\/Berlin/)
  assert.match(said('--input', plain, '--time', 'tme'), /no column tme; the nearest is time/)
})
