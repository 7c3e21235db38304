// `andon features preview`: a file goes through the engine as it would on the log; what does not fit says where and what is near;
// a plot says the same in the terminal, as SVG and as PNG.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { pngOf } from '../src/tools/plot-png.ts'
import { plotSvg } from '../src/tools/plot-svg.ts'
import { plotTerminal } from '../src/tools/plot-terminal.ts'
import { columned, numberText, ticksOf, timeTicksOf } from '../src/tools/plot.ts'
import { type PreviewOptions, preview, shown, vectorsCsv } from '../src/tools/preview.ts'
import { readRecording } from '../src/tools/recording.ts'

const folder = mkdtempSync(join(tmpdir(), 'andon-preview-'))
after(() => rmSync(folder, { recursive: true, force: true }))
let files = 0

const file = (text: string | Buffer, ending = 'csv'): string => {
  const name = join(folder, `${++files}.${ending}`)
  writeFileSync(name, text)
  return name
}

const startUs = Date.parse('2026-11-23T08:00:00Z') * 1000
const at = (seconds: number): string => new Date(startUs / 1000 + seconds * 1000).toISOString()

const csv = (rows: readonly (readonly [number, number])[]): string =>
  file(['time,temperatureC [Cel]', ...rows.map(([seconds, value]) => `${at(seconds)},${value}`)].join('\n'))

const setFile = (features: string, more = ''): string =>
  file(`version: 1\nname: features/test\nwindowMs: 4000\nlatenessMs: 1000\ngraceMs: 0\nfeatures:\n${features}\n${more}`, 'yaml')

const mean = setFile('  - { channel: temperatureC, statistics: [mean, count] }')

const run = (recording: string, set = mean, more: Partial<PreviewOptions> = {}) => preview({ file: recording, set, ...more })

const seconds = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

test('the vectors are those of the windows that the rows lie in', async () => {
  const { vectors, counts } = await run(csv(seconds(10).map((s) => [s, s * s])))
  assert.deepEqual(
    vectors.map(({ windowEndUs, values }) => [(windowEndUs - startUs) / 1e6, ...values]),
    [
      [4, 3.5, 4],
      [8, 31.5, 4],
      [12, 72.5, 2],
    ],
  )
  assert.deepEqual([counts.rows, counts.vectors, counts.lateRows, counts.unmonitored], [10, 3, 0, 0])
})

test('a clock that steps back makes rows late, and a pause is told: as on the log', async () => {
  const stepped = await run(csv([...seconds(9).map((s): [number, number] => [s, 1]), [1.5, 1], [9, 1]]))
  assert.equal(stepped.counts.lateRows, 1)
  assert.ok(stepped.notes.some((note) => note.startsWith('1 row came too late')))
  const paused = await run(csv([...seconds(8), ...seconds(8).map((s) => s + 60)].map((s) => [s, 1])))
  assert.equal(paused.counts.unmonitored, 1)
  const [stretch] = paused.plot.unmonitored
  assert.ok(stretch !== undefined && stretch.fromUs >= startUs + 7e6 && stretch.toUs <= startUs + 61e6)
})

test('columns, delimiters, times and units are read as people write them', async () => {
  const german = await readRecording(file('Zeit;Druck (bar);Bemerkung\n2026-11-23 08:00:00,5;1,5;gut\n2026-11-23 08:00:01;;ok\n'))
  assert.deepEqual(
    [german.timeColumn, german.skipped, german.columns.map(({ name, unit }) => [name, unit])],
    ['Zeit', ['Bemerkung'], [['Druck', 'bar']]],
  )
  assert.deepEqual([...german.timesUs], [startUs + 500_000, startUs + 1_000_000])
  assert.deepEqual([...german.columns[0]!.values], [1.5, Number.NaN])
  const packed = await readRecording(file(gzipSync('ts_ms,x\n1000,1\n2000,2\n'), 'csv.gz'))
  assert.deepEqual([...packed.timesUs], [1_000_000, 2_000_000])
  const counted = await readRecording(file('0.5\n0.25\n'), { sampleRateHz: 100, startUs })
  assert.deepEqual([counted.columns.map(({ name }) => name), [...counted.timesUs]], [['column1'], [startUs, startUs + 10_000]])
})

test('a file that cannot be read says where, and what is near', async () => {
  await assert.rejects(readRecording(file('a,b\n1,2\n1\n')), /:3: expected 2 fields as in the first line, found 1/)
  await assert.rejects(readRecording(file('a,b\n1,2\n')), /no column holds times \(found a, b\).*--sample-rate/)
  await assert.rejects(readRecording(file('time,b\n2026-11-23T08:00:00Z,2\nsoon,3\n')), /row 2: expected a time in time .*found "soon"/)
  await assert.rejects(readRecording(file('time,b\n1,2\n'), { timeColumn: 'tme' }), /no column tme; the nearest is time/)
  await assert.rejects(run(csv([[0, 1]]), mean, { from: '2027-01-01T00:00:00Z' }), /no row in between; it goes from 2026-11-23T08:00:00/)
})

test('a set that does not fit names its line and the nearest known name', async () => {
  const recording = csv([[0, 1]])
  const ok = '  - { channel: temperatureC, statistics: [mean] }'
  await assert.rejects(
    run(recording, setFile(`${ok}\n  - { channel: tempratureC, statistics: [mean] }`)),
    /\.yaml:8: .*no channel tempratureC; the nearest is temperatureC/,
  )
  await assert.rejects(
    run(recording, setFile(`${ok}\n  - { channel: temperatureC, statistics: [maen] }`)),
    /\.yaml:8: .*nearest known one is mean/,
  )
  await assert.rejects(run(recording, setFile(`${ok}\n  - { channel: temperatureC, statistics: [centroidHz] }`)), /\.yaml:8: .*centroidHz/)
})

test('a waveform goes through in rows of its width; elements that fill none are told', async () => {
  const wave = file(['vibrationG [g]', ...seconds(1050).map((i) => Math.sin((2 * Math.PI * i) / 8))].join('\n'))
  const set = setFile('  - { channel: vibrationG, statistics: [rms, dominantHz] }')
  const { vectors, notes } = await run(wave, set, { sampleRate: '100', width: '100', start: at(0) })
  const [rms, hz] = vectors[0]!.values
  assert.ok(Math.abs(rms! - Math.SQRT1_2) < 0.01, `rms ${rms}`)
  assert.ok(Math.abs(hz! - 12.5) < 0.3, `dominant ${hz} Hz`)
  assert.ok(notes.some((note) => note.startsWith('50 elements at the end of vibrationG fill no row of 100')))
})

const rich = () =>
  run(
    csv(seconds(120).map((s) => [s < 60 ? s : s + 30, s % 40 < 8 ? 2 : 20 + Math.sin(s)])),
    setFile(
      '  - { channel: temperatureC, statistics: [mean, std] }\n  - { channel: temperatureC, statistics: [quantile], quantiles: [0.1, 0.2, 0.5, 0.8, 0.9] }',
      'scales: [2s]\nregimes:\n  - { id: stand, off: true, when: { "temperatureC.mean@4s": { below: 5 } } }\n  - { id: run }\n',
    ),
  )

test('a plot in the terminal keeps its width, has UTC times, regimes, gaps and no colour unless there is some', async () => {
  const done = await rich()
  for (const columns of [60, 100, 173]) {
    const text = plotTerminal(done.plot, { columns, hasColour: false })
    assert.deepEqual(
      text.split('\n').filter((line) => line.length > columns),
      [],
    )
    assert.ok(!text.includes('\u001b'))
    assert.match(text, /^regime/m)
    assert.match(text, /UTC/)
  }
  assert.ok(plotTerminal(done.plot, { columns: 100, hasColour: true }).includes('\u001b[1m'))
  assert.match(shown(done, 100, false, false), /├·*┤|stand/)
})

test('the SVG names every panel and is well-formed; the PNG is drawn from it', async () => {
  const { plot } = await rich()
  const svg = plotSvg({ ...plot, title: 'a < b & "c"' })
  for (const { title } of plot.panels) assert.ok(svg.includes(`>${title}`), title)
  assert.ok(svg.includes('a &lt; b &amp; "c"'))
  assert.doesNotMatch(svg, /NaN|undefined|Infinity/)
  const open = svg.match(/<(?!\/|\?)[a-z]+(?:[^>"]|"[^"]*")*(?<!\/)>/g)?.length
  assert.equal(open, svg.match(/<\/[a-z]+>/g)?.length)
  const png = pngOf(svg, 0.5)
  assert.equal(png.subarray(1, 4).toString(), 'PNG')
  assert.equal(png.readUInt32BE(16), 600)
})

test('the vectors as CSV: a line each, an empty field where nothing could be computed', async () => {
  const done = await run(
    csv([
      [0, 1],
      [1, Number.NaN],
      [5, 3],
    ]),
  )
  const [head, first, second] = vectorsCsv(done).trim().split('\r\n')
  assert.equal(
    head,
    'windowStartUs,windowEndUs,temperatureC.mean,temperatureC.count,quality,regime,machineOff,health,complete,missing,revision',
  )
  assert.match(first!, /^\d+,\d+,1,1,/)
  assert.match(second!, /^\d+,\d+,3,1,/)
})

test('columns of a plot lose no extreme (any trace, any width)', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ t: fc.integer({ min: 0, max: 1000 }), v: fc.double({ noNaN: true, min: -1e6, max: 1e6 }) }), { minLength: 1 }),
      fc.integer({ min: 1, max: 90 }),
      (points, width) => {
        const sorted = points.toSorted((a, b) => a.t - b.t)
        const trace = { label: '', timesUs: sorted.map(({ t }) => t), values: sorted.map(({ v }) => v) }
        const { low, high } = columned(trace, { fromUs: 0, toUs: 1000 }, width)
        const known = (column: Float64Array) => [...column].filter((value) => !Number.isNaN(value))
        assert.equal(Math.min(...known(low)), Math.min(...trace.values))
        assert.equal(Math.max(...known(high)), Math.max(...trace.values))
      },
    ),
  )
})

test('ticks are round, inside, and two at least', () => {
  fc.assert(
    fc.property(fc.double({ min: -1e6, max: 1e6, noNaN: true }), fc.double({ min: 1e-3, max: 1e6, noNaN: true }), (low, span) => {
      const ticks = ticksOf({ low, high: low + span }, 2)
      assert.ok(ticks.length >= 2 && ticks.length <= 12, `${ticks.join(' ')}`)
      const room = span * 1e-6
      for (const tick of ticks) assert.ok(tick >= low - room && tick <= low + span + room)
    }),
  )
  const texts = (fromS: number, toS: number) =>
    timeTicksOf({ fromUs: startUs + fromS * 1e6, toUs: startUs + toS * 1e6 }, 5).map(({ text, date }) => [text, date])
  assert.deepEqual(texts(0, 4), [
    ['08:00:00', '2026-11-23'],
    ['08:00:01', null],
    ['08:00:02', null],
    ['08:00:03', null],
    ['08:00:04', null],
  ])
  assert.deepEqual(texts(0, 86_400 * 2), [
    ['12:00', '2026-11-23'],
    ['00:00', '2026-11-24'],
    ['12:00', null],
    ['00:00', '2026-11-25'],
  ])
  assert.deepEqual(
    [0, 1234567, 0.00042, 12.345, 3e-9].map((value) => numberText(value)),
    ['0', '1.23M', '0.00042', '12.3', '3.0e-9'],
  )
})

test('the window that ends behind the last row is in the plot', async () => {
  const { plot, vectors } = await run(
    csv([
      [0, 1],
      [5, 7],
    ]),
  )
  assert.equal(plot.toUs, vectors.at(-1)?.windowEndUs)
  assert.match(plotTerminal(plot, { columns: 100, hasColour: false }), /mean °C +7 ┤/)
})
