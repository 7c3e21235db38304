import { test } from 'node:test'
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  DocumentError,
  checkParams,
  checkPlantDocuments,
  documentKind,
  lengthOf,
  parseBoundary,
  parseCommands,
  parseFeatureSet,
  parseNamed,
  parsePlant,
  parsePolicy,
  readPlantFolder,
  resolvePorts,
} from '../src/index.ts'

const folder = new URL('../../examples/steel-plant/', import.meta.url)
const text = (name: string): string => readFileSync(new URL(name, folder), 'utf8')
const line = (source: string, part: string): number => source.split('\n').findIndex((each) => each.includes(part)) + 1

const refuses = (read: () => unknown, path: string, atLine: number | undefined, message: RegExp): void => {
  assert.throws(read, (error) => {
    assert.ok(error instanceof DocumentError, String(error))
    assert.equal(error.path, path)
    if (atLine !== undefined) assert.equal(error.line, atLine, error.message)
    assert.match(error.message, message)
    return true
  })
}

test('the demo plant reads, and reads the same from its own JSON', () => {
  for (const document of readPlantFolder(folder.pathname)) {
    const again = parseNamed(document.name, JSON.parse(JSON.stringify(document.value)))
    assert.deepEqual(again, { kind: document.kind, value: document.value })
  }
})

test('port placeholders are shifted, in text and in an object', () => {
  const shifted = parsePlant(text('plant.yaml'), { portOffset: 1000 })
  const system = shifted.lines[0]?.controlSystem
  assert.equal(system?.kind === 'opcua' && system.endpoint, 'opc.tcp://127.0.0.1:5840/andon/line')
  assert.equal(shifted.notifications.smtp?.port, 8092)
  assert.equal(resolvePorts('{port:1}-{port:22}', 5), '6-27')
})

test('a line without a control group is its own', () => {
  const plant = parsePlant(text('plant.yaml').replace('    controlGroup: press-line\n', ''))
  assert.equal(plant.lines[0]?.controlGroup, 'press-line')
})

test('a fault names file, line, path, what was found and what is expected', () => {
  const wrong = text('plant.yaml').replace('kind: opcua', 'kind: modbus')
  refuses(
    () => parsePlant(wrong, { file: 'my/plant.yaml' }),
    'lines[0].controlSystem.kind',
    line(wrong, 'modbus'),
    /^my\/plant\.yaml:\d+: .*expected 'opcua' or 'sparkplug' or 'nats', found "modbus"\. Correct/,
  )
})

const plantFaults: [what: string, from: string, to: string, path: string, expected: RegExp][] = [
  [
    'a misspelt key',
    'nominalSpeedRpm',
    'nominalSpedRpm',
    'assets[0].nominalSpedRpm',
    /no such key; the nearest known one is nominalSpeedRpm/,
  ],
  ['an asset on an unknown line', 'line: press-line\n    class', 'line: press-lin\n    class', 'assets[0].line', /press-line, utilities/],
  ['an unknown class', 'class: power-meter', 'class: power-meters', 'assets[3].class', /an asset class/],
  [
    'an asset that is part of nothing known',
    'class: power-meter',
    'class: power-meter\n    parent: press-9',
    'assets[3].parent',
    /an asset/,
  ],
  [
    'an asset that is part of itself',
    'class: power-meter',
    'class: power-meter\n    parent: works-power',
    'assets[3].parent',
    /not a part of this one/,
  ],
  ['a camera that sees nothing known', 'sees: [press-1]', 'sees: [press-9]', 'cameras[0].sees[0]', /an asset/],
  ['two assets with one source', 'sources: [press-1-plc]', 'sources: [press-1-vib]', 'assets[1].sources[0]', /used once/],
  ['a range upside down', 'range: [-20, 200]', 'range: [200, -20]', 'assets[1].channels[0].range', /low end/],
  ['a waveform without a rate', 'sampleRateHz: 8192, ', '', 'assets[0].channels[0].sampleRateHz', /a number/],
  ['an unknown kind of channel', 'kind: waveform', 'kind: wave', 'assets[0].channels[0].kind', /'scalar' or 'waveform'/],
]
for (const [what, from, to, path, expected] of plantFaults) {
  test(`a plant with ${what} is refused`, () => {
    const source = text('plant.yaml')
    assert.ok(source.includes(from))
    refuses(() => parsePlant(source.replace(from, to)), path, undefined, expected)
  })
}

test('text that is not YAML is refused with its line', () => {
  refuses(() => parsePlant('version: 1\nsite: {'), '', 2, /well-formed YAML/)
})

for (const field of [
  'effect',
  'allowedModes',
  'hazardOfStop',
  'preconditions',
  'readBack',
  'limits',
  'maxLatencyMs',
  'class',
  'riskClass',
]) {
  test(`a command without ${field} does not load`, () => {
    const source = text('commands.yaml')
    const without = source.replace(new RegExp(`^    ${field}:.*\n`, 'm'), '')
    assert.notEqual(without, source)
    refuses(() => parseCommands(without), `commands[0].${field}`, line(without, 'name: line.pause'), /expected/)
  })
}

const commandFaults: [what: string, from: RegExp, to: string, path: string][] = [
  ['class iii that is not latched', /latched: true\n {4}class: ii /, 'latched: false\n    class: iii ', 'commands[0].class'],
  [
    'class iii for energy',
    /effect: motion\n {4}latched: true\n {4}class: ii /,
    'effect: energy\n    latched: true\n    class: iii ',
    'commands[0].class',
  ],
  ['motion in any mode', /allowedModes: \[automatic\]/, 'allowedModes: [any]', 'commands[0].allowedModes'],
  ['motion without a hazard', /hazardOfStop: Work.*/, 'hazardOfStop: none', 'commands[0].hazardOfStop'],
  ['motion without preconditions', /preconditions: \[mode.*/, 'preconditions: []', 'commands[0].preconditions'],
  ['a window shorter than the latency', /commandWindowMs: 10000/, 'commandWindowMs: 3000', 'commands[0].commandWindowMs'],
  ['a default outside its bounds', /default: 45/, 'default: 4500', 'commands[0].params.reviewMinutes.default'],
  ['a name used twice', /name: notify.technicians/, 'name: line.pause', 'commands[1].name'],
]
for (const [what, from, to, path] of commandFaults) {
  test(`a catalogue with ${what} does not load`, () => {
    const source = text('commands.yaml')
    assert.match(source, from)
    refuses(() => parseCommands(source.replace(from, to)), path, undefined, /expected/)
  })
}

test('class iii loads for a latched motion', () => {
  const source = text('commands.yaml').replace('class: ii ', 'class: iii ')
  assert.equal(parseCommands(source).commands[0]?.class, 'iii')
})

test('parameters are completed with defaults and checked', () => {
  const pause = parseCommands(text('commands.yaml')).commands[0]
  assert.ok(pause)
  assert.deepEqual(checkParams(pause, {}), { params: { reviewMinutes: 45 } })
  assert.deepEqual(checkParams(pause, { reviewMinutes: 0 }), { param: 'reviewMinutes', expected: 'an integer from 1 to 480' })
  assert.deepEqual(checkParams(pause, { speed: 1 }), { param: 'speed', expected: 'no such parameter' })
  assert.deepEqual(checkParams(pause, { toString: 1 }), { param: 'toString', expected: 'no such parameter' })
})

test('bands come with bandRms and only with it', () => {
  const source = text('features/press-vibration.yaml')
  refuses(() => parseFeatureSet(source.replace(/bandsHz: .*\]\], /, '')), 'features[1].bandsHz', undefined, /bandRms/)
  refuses(() => parseFeatureSet(source.replace('[bandRms]', '[rms]')), 'features[1].bandsHz', undefined, /no bandsHz: none of rms reads it/)
  assert.ok(parseFeatureSet(source.replace('[bandRms]', '[bandRms, bandLnShare, centroidHz]')))
})

test('nothing is filled into a feature set: its canonical form, and so its digest, is what was written', () => {
  const written = {
    version: 1,
    name: 'features/x',
    windowMs: 1,
    latenessMs: 0,
    graceMs: 0,
    features: [{ channel: 'a', statistics: ['mean'] }],
  }
  assert.deepEqual(Object.keys(parseFeatureSet(written)), Object.keys(written))
  const off = { ...written, regimes: [{ id: 'off' }], health: { flat: true } }
  assert.deepEqual(parseFeatureSet(off), off)
})

const featureSet = `version: 1
name: features/gearbox
windowMs: 60000
hopMs: 10000
scales: [20rows, 10s]
latenessMs: 500
graceMs: 250
features:
  - { channel: "*", statistics: [mean, std] }
  - { channel: speedRpm, scales: [10s], statistics: [slope] }
  - { channel: speedRpm, limits: [0, 100], statistics: [timeInBandPct] }
  - { channel: vibrationG, velocityBandHz: [10, 1000], statistics: [velocityRmsMmS] }
  - { channel: vibrationG, bandsHz: [[10, 100], [100, 1000]], statistics: [bandRms] }
  - { channel: vibrationG, logBands: { count: 8, lowHz: 10, highHz: 4000 }, statistics: [logBandRms] }
  - { channel: soundPa, octaveFraction: 3, octaveRangeHz: [100, 4000], statistics: [octaveDb] }
  - { channels: [torqueNm, speedRpm], as: load, statistics: [correlation] }
regimes:
  - { id: off, off: true, when: { speedRpm.mean@1min: { below: 50 } } }
  - { id: fast, when: { speedRpm.mean@1min: { atLeast: 1000, below: 2000 } } }
  - id: other
health: { stuckRows: 20, saturatedShare: 0.1 }
`

test('a feature set with scales, pairs, regimes and health reads', () => {
  const set = parseFeatureSet(featureSet)
  assert.deepEqual(
    set.regimes?.map(({ id }) => id),
    ['off', 'fast', 'other'],
  )
  assert.deepEqual([lengthOf('20rows'), lengthOf('500ms'), lengthOf('5min')], [{ rows: 20 }, { us: 500_000 }, { us: 300_000_000 }])
})

const featureSetFaults: [what: string, from: string, to: string, path: string, expected: RegExp][] = [
  ['no length of a window', 'windowMs: 60000\nhopMs: 10000\n', '', 'windowMs', /either windowMs or windowRows/],
  ['two lengths of a window', 'hopMs: 10000', 'windowRows: 20', 'windowMs', /either windowMs or windowRows/],
  ['rows that are not closed by row', 'windowMs: 60000\nhopMs: 10000', 'windowRows: 20', 'windowRows', /closes: every-row beside it/],
  ['a hop and a close by row', 'hopMs: 10000', 'hopMs: 10000\ncloses: every-row', 'hopMs', /either hopMs or closes/],
  ['a hop longer than the window', 'hopMs: 10000', 'hopMs: 60001', 'hopMs', /at most the 60000 ms of the window/],
  ['more than a thousand windows at once', 'hopMs: 10000', 'hopMs: 59', 'hopMs', /at least 60 ms/],
  ['a scale without a unit', '20rows, 10s', '20, 10s', 'scales[0]', /a string/],
  ['a scale of another unit', '20rows, 10s', '20hours, 10s', 'scales[0]', /a length like 20rows, 500ms, 60s or 5min/],
  ['a scale longer than the window', '20rows, 10s', '20rows, 2min', 'scales[1]', /at most the 60000 ms/],
  ['a scale twice', '20rows, 10s', '10s, 10000ms', 'scales[1]', /each length once/],
  [
    'a scale by time of a window of rows',
    'windowMs: 60000\nhopMs: 10000',
    'windowRows: 100\ncloses: every-row',
    'scales[1]',
    /rows, as the window has/,
  ],
  [
    'a scale of more rows than the window',
    'windowMs: 60000\nhopMs: 10000\nscales: [20rows, 10s]',
    'windowRows: 19\ncloses: every-row\nscales: [20rows]',
    'scales[0]',
    /at most the 19 rows/,
  ],
  ['a rule at a scale that the set does not have', 'scales: [10s]', 'scales: [11s]', 'features[1].scales[0]', /the window, 20rows, 10s/],
  ['an unknown statistic', '[mean, std]', '[mean, sdt]', 'features[0].statistics[1]', /the nearest known one is std/],
  ['a statistic twice', '[mean, std]', '[mean, mean]', 'features[0].statistics[1]', /each entry once/],
  ['a statistic of two channels on one', '[mean, std]', '[mean, correlation]', 'features[0].statistics[1]', /correlation of 2 channels/],
  ['a statistic of one channel on two', '[correlation]', '[mean]', 'features[7].statistics[0]', /mean of 1 channel/],
  ['no channel', 'channel: "*", ', '', 'features[0].channel', /either channel or channels/],
  ['one channel twice', '[torqueNm, speedRpm]', '[speedRpm, speedRpm]', 'features[7].channels[1]', /another channel/],
  ['one name for all channels', 'channel: "*", ', 'channel: "*", as: all, ', 'features[0].as', /no as beside/],
  ['a name with a dot', 'as: load', 'as: press.load', 'features[7].as', /letters, digits and hyphens/],
  ['an option that is needed left out', 'limits: [0, 100], ', '', 'features[2].limits', /limits, which timeInBandPct needs/],
  [
    'an option that nothing reads',
    '{ channel: "*", ',
    '{ channel: "*", harmonics: 3, ',
    'features[0].harmonics',
    /none of mean, std reads it/,
  ],
  ['limits upside down', 'limits: [0, 100]', 'limits: [100, 0]', 'features[2].limits', /low end below/],
  ['limits without an end', 'limits: [0, 100]', 'limits: [null, null]', 'features[2].limits', /at one end at least/],
  [
    'a velocity band upside down',
    '[10, 1000], statistics: [velocity',
    '[1000, 10], statistics: [velocity',
    'features[3].velocityBandHz',
    /low end/,
  ],
  ['a band upside down', '[100, 1000]], ', '[1000, 100]], ', 'features[4].bandsHz[1]', /low end below/],
  ['a band twice', '[100, 1000]], ', '[10, 100]], ', 'features[4].bandsHz[1]', /each entry once/],
  ['log bands upside down', 'lowHz: 10', 'lowHz: 5000', 'features[5].logBands', /low end below/],
  [
    'a fraction of octaves that nobody measures',
    'octaveFraction: 3',
    'octaveFraction: 2',
    'features[6].octaveFraction',
    /1 for octaves or 3/,
  ],
  [
    'octaves without a centre',
    'octaveRangeHz: [100, 4000]',
    'octaveRangeHz: [101, 120]',
    'features[6].octaveRangeHz',
    /holds a centre frequency/,
  ],
  ['two regimes of one id', 'id: fast', 'id: off', 'regimes[1].id', /used once/],
  ['a regime after one that always holds', '- id: other', '- id: other\n  - id: never', 'regimes[3]', /it before other/],
  ['a condition without a bound', '{ below: 50 }', '{}', 'regimes[0].when.speedRpm.mean@1min', /atLeast, below or both, or equals alone/],
  ['two kinds of bounds', '{ below: 50 }', '{ below: 50, equals: 0 }', 'regimes[0].when.speedRpm.mean@1min', /equals alone/],
  ['bounds upside down', 'atLeast: 1000', 'atLeast: 3000', 'regimes[1].when.speedRpm.mean@1min', /atLeast lower than below/],
  [
    'a misspelt bound',
    '{ below: 50 }',
    '{ under: 50 }',
    'regimes[0].when.speedRpm.mean@1min.under',
    /no such key; the nearest known one is/,
  ],
  ['a misspelt key that is needed', 'features:', 'featurs:', 'featurs', /no such key; the nearest known one is features/],
  ['a misspelt option', 'velocityBandHz: [10', 'velocitybandhz: [10', 'features[3].velocitybandhz', /nearest known one is velocityBandHz/],
  ['a check of health without a figure', 'stuckRows: 20', 'stuckRows: true', 'health.stuckRows', /at least 2 rows, or false/],
  ['a share above one', 'saturatedShare: 0.1', 'saturatedShare: 10', 'health.saturatedShare', /at most 1/],
]
for (const [what, from, to, path, expected] of featureSetFaults) {
  test(`a feature set with ${what} is refused`, () => {
    assert.ok(featureSet.includes(from))
    const source = featureSet.replace(from, to)
    refuses(() => parseFeatureSet(source), path, undefined, expected)
  })
}

test('the fault of a feature set names its line', () => {
  refuses(
    () => parseFeatureSet(featureSet.replace('[slope]', '[slop]'), { file: 'gearbox.yaml' }),
    'features[1].statistics[0]',
    10,
    /^gearbox.yaml:10: /,
  )
})

const machine = (more: string): string => text('plant.yaml').replace('    nominalSpeedRpm: 1500\n', `    nominalSpeedRpm: 1500\n${more}`)
const machineFaults: [what: string, more: string, path: string, expected: RegExp][] = [
  ['zones that do not rise', 'zones: { limitsMmS: [1.4, 2.8, 2.8] }', 'zones.limitsMmS', /rising limits/],
  ['a group without its support', 'zones: { group: 1 }', 'zones', /either limitsMmS .*, or group 1 or 2 and support/],
  ['two gears of one name', 'gears: [{ name: pinion, teeth: 23 }, { name: pinion, teeth: 61 }]', 'gears[1].name', /used once/],
  ['a speed channel that is none', 'speedChannel: vibrationG', 'speedChannel', /a scalar channel of the asset/],
  ['a tacho that is none', 'tacho: { channel: tachoV }', 'tacho.channel', /a scalar channel of the asset/],
]
for (const [what, more, path, expected] of machineFaults) {
  test(`a plant with ${what} is refused`, () => {
    refuses(() => parsePlant(machine(`    ${more}\n`)), `assets[0].${path}`, undefined, expected)
  })
}

test('a bearing is given by its orders or by its geometry', () => {
  const withBearing = (bearing: string) => text('plant.yaml').replace(/bearing: .*/, `bearing: ${bearing}`)
  const geometry = 'name: "6205", balls: 9, ballDiameterMm: 7.94, pitchDiameterMm: 39.04'
  assert.deepEqual(parsePlant(withBearing(`{ ${geometry} }`)).assets[0]?.bearing, {
    name: '6205',
    balls: 9,
    ballDiameterMm: 7.94,
    pitchDiameterMm: 39.04,
    contactAngleDeg: 0,
  })
  refuses(
    () => parsePlant(withBearing('{ name: x, balls: 9 }')),
    'assets[0].bearing',
    undefined,
    /either bpfoOrder.* or balls, ballDiameterMm/,
  )
  const swapped = geometry.replace('7.94', '40')
  refuses(() => parsePlant(withBearing(`{ ${swapped} }`)), 'assets[0].bearing.ballDiameterMm', undefined, /less than the pitch diameter/)
})

test('four eyes need somebody to approve', () => {
  refuses(
    () => parsePolicy(text('policies/press-vibration.yaml').replace('approvals: 1', 'approvals: 0')),
    'plan[2].approvals',
    undefined,
    /at least 1/,
  )
})

const plantDocuments = () => ({
  plant: parsePlant(text('plant.yaml')),
  commands: parseCommands(text('commands.yaml')),
  featureSets: [
    parseFeatureSet(text('features/press-vibration.yaml')),
    parseFeatureSet(text('features/machine-temperature.yaml')),
    parseFeatureSet(text('features/power.yaml')),
  ],
  policies: [parsePolicy(text('policies/press-vibration.yaml'))],
})

test('no policy lowers the risk floor: motion needs a human', () => {
  const documents = plantDocuments()
  const source = text('policies/press-vibration.yaml').replace('approvals: 1', 'approvals: 0').replace('fourEyes: true', 'fourEyes: false')
  refuses(() => checkPlantDocuments({ ...documents, policies: [parsePolicy(source)] }), 'plan[2].approvals', undefined, /effect motion/)
})

test('a policy names catalogued commands with valid parameters', () => {
  const documents = plantDocuments()
  checkPlantDocuments(documents)
  const policy = (from: string, to: string) => [parsePolicy(text('policies/press-vibration.yaml').replace(from, to))]
  refuses(
    () => checkPlantDocuments({ ...documents, policies: policy('line.pause', 'line.halt') }),
    'plan[2].command',
    undefined,
    /catalogue/,
  )
  refuses(
    () => checkPlantDocuments({ ...documents, policies: policy('reviewMinutes: 45', 'reviewMinutes: 0') }),
    'plan[2].params.reviewMinutes',
    undefined,
    /1 to 480/,
  )
})

test('a class refers to a feature set of the folder', () => {
  refuses(() => checkPlantDocuments({ ...plantDocuments(), featureSets: [] }), 'assetClasses[0].featureSet', undefined, /./)
})

test('a feature set fits the assets of its classes, or is refused with what would', () => {
  const refused = (from: string, to: string, path: string, message: RegExp): void => {
    const source = text('features/press-vibration.yaml')
    assert.ok(source.includes(from))
    const featureSets = plantDocuments().featureSets.with(0, parseFeatureSet(source.replace(from, to)))
    refuses(() => checkPlantDocuments({ ...plantDocuments(), featureSets }), path, undefined, message)
  }
  refused(
    'channel: vibrationG',
    'channel: vibraton',
    'features[0].channel',
    /fits asset press-1: no channel vibraton; the nearest is vibrationG, found/,
  )
  refused('crest, peak]', 'crest, slope]', 'features[0].statistics[3]', /slope of vibrationG needs single values, found a waveform/)
  refused('[3000, 4000]', '[3000, 5000]', 'features[1].statistics[0]', /above half the sample rate \(4096 Hz\)/)
  const plant = parsePlant(text('plant.yaml').replaceAll('unit: g,', 'unit: Pa,'))
  const velocity = parseFeatureSet(text('features/press-vibration.yaml').replace('[rms,', '[velocityRmsMmS, rms,'))
  refuses(
    () => checkPlantDocuments({ ...plantDocuments(), plant, featureSets: plantDocuments().featureSets.with(0, velocity) }),
    'features[0].statistics[0]',
    undefined,
    /velocityRmsMmS of vibrationG needs a unit of vibration \(m\/s2, g, mm\/s, um ...\), found Pa/,
  )
})

test('a fault between the documents of a folder names file and line', async (context) => {
  const copy = mkdtempSync(join(tmpdir(), 'andon-plant-'))
  context.after(() => rmSync(copy, { recursive: true }))
  cpSync(folder, copy, { recursive: true, filter: (from) => !/node_modules|recordings|baseline/.test(from) })
  const file = join(copy, 'features/press-vibration.yaml')
  writeFileSync(file, text('features/press-vibration.yaml').replace('kurtosis, crest', 'slope, crest'))
  assert.throws(() => readPlantFolder(copy), {
    message: `${file}:8: features[0].statistics[1]: expected what fits asset press-1: slope of vibrationG needs single values, found a waveform, found "slope". Correct this value and apply the document again.`,
  })
})

const boundary = `---
version: 1
name: boundaries/press-pause
inputs: [features of press-1]
outputs: [proposal to pause the line]
errorModes: [sensor stuck]
approvals: [a shift lead before the pause]
latencyMs: { p95: 500, p99: 1000 }
falsePositives: { perAssetPerWeek: 1 }
---
# Pausing the press line
`

test('a boundary page has front matter and text, and faults count lines of the page', () => {
  const read = parseBoundary(boundary)
  assert.equal(read.body, '# Pausing the press line')
  assert.deepEqual(parseBoundary(JSON.parse(JSON.stringify(read))), read)
  refuses(() => parseBoundary(boundary.replace('p95: 500', 'p95: soon')), 'latencyMs.p95', 8, /a number/)
  refuses(() => parseBoundary('# no front matter'), '', 1, /front matter/)
})

test('a boundary that was published as JSON is read again as it was', () => {
  const read = parseBoundary(boundary)
  assert.deepEqual(parseBoundary(JSON.stringify(read)), read)
  assert.deepEqual(parseNamed(read.name, JSON.stringify(read)), { kind: 'boundary', value: read })
})

test('a document carries the name it is stored under', () => {
  assert.equal(documentKind('policies/default'), 'policy')
  assert.equal(documentKind('constructor/x'), undefined)
  assert.equal(documentKind('nonsense'), undefined)
  assert.throws(() => parseNamed('policies/other', text('policies/default.yaml')), /expected "policies\/other", found "policies\/default"/)
  assert.throws(() => parseNamed('nonsense', {}), /expected plant, commands/)
})
