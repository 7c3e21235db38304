import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import {
  DocumentError,
  checkParams,
  checkPlantDocuments,
  documentKind,
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
  assert.equal(shifted.lines[0]?.controlSystem?.endpoint, 'opc.tcp://127.0.0.1:5840/andon/line')
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
    /^my\/plant\.yaml:\d+: .*expected "opcua", found "modbus"\. Correct/,
  )
})

const plantFaults: [what: string, from: string, to: string, path: string, expected: RegExp][] = [
  ['a misspelt key', 'nominalSpeedRpm', 'nominalSpedRpm', 'assets[0].nominalSpedRpm', /no such key/],
  ['an asset on an unknown line', 'line: press-line\n    class', 'line: press-lin\n    class', 'assets[0].line', /press-line, utilities/],
  ['an unknown class', 'class: power-meter', 'class: power-meters', 'assets[3].class', /an asset class/],
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
  refuses(() => parseFeatureSet(source.replace('[bandRms]', '[bandRms, rms]')), 'features[1].statistics', undefined, /only bandRms/)
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

test('a document carries the name it is stored under', () => {
  assert.equal(documentKind('policies/default'), 'policy')
  assert.equal(documentKind('constructor/x'), undefined)
  assert.equal(documentKind('nonsense'), undefined)
  assert.throws(() => parseNamed('policies/other', text('policies/default.yaml')), /expected "policies\/other", found "policies\/default"/)
  assert.throws(() => parseNamed('nonsense', {}), /expected plant, commands/)
})
