// An explanation for people: every number with what it is, what it was made of and whether it came out again. 100 columns.

import { statistics } from '@andon/schemas'
import { featureParts, featureUnit, statisticOf } from '@andon/schemas/feature-names'
import type { AssetPlan, Call, Condition } from '../plan.ts'
import type { Explanation } from './explain.ts'
import { numberText, unitText } from './plot.ts'
import { type ComparedNumber, healthText } from './recompute.ts'

const WIDTH = 100

export interface Paint {
  readonly bold: (words: string) => string
  readonly soft: (words: string) => string
  readonly good: (words: string) => string
  readonly bad: (words: string) => string
}

export const painted = (hasColour: boolean): Paint => {
  const with_ =
    (code: number) =>
    (words: string): string =>
      hasColour && words !== '' ? `\u001b[${code}m${words}\u001b[0m` : words
  return { bold: with_(1), soft: with_(2), good: with_(32), bad: with_(31) }
}

const stamp = (us: number): string => new Date(Math.floor(us / 1000)).toISOString().replace('T', ' ').replace('Z', '')
const clock = (us: number): string => stamp(us).slice(11)
const cut = (words: string, length: number): string => (words.length <= length ? words : `${words.slice(0, length - 1)}…`)

export const explainText = (explanation: Explanation, paint: Paint): string => {
  const { vector, assetId, place, plan } = explanation
  const lines = [
    `${paint.bold(`${assetId}  ${stamp(vector.windowStartUs)} to ${clock(vector.windowEndUs)} UTC`)}  ${vector.featureSet}`,
    paint.soft(`vector ${vector.vectorId}, revision ${vector.revision}`),
    paint.soft(`on ${placeText(place)}${place.lane === 'live' ? '' : `, lane ${place.lane}`}, caused by ${causeText(explanation)}`),
    rule(),
    ...verdict(explanation, paint),
    '',
    ...about(explanation, paint),
  ]
  if (plan !== null && vector.names.length > 0) lines.push('', ...numbers(explanation, plan, paint))
  if (explanation.samples.length > 0 || explanation.missing.length > 0) lines.push('', ...samples(explanation, paint))
  lines.push('', ...revisions(explanation, paint))
  if (explanation.citations.length > 0) lines.push('', ...downstream(explanation, paint))
  return lines.map((line) => line.trimEnd()).join('\n')
}

const rule = (): string => '─'.repeat(WIDTH)
const head = (words: string, paint: Paint): string => paint.bold(words)
const placeText = ({ topic, partition, offset }: { topic: string; partition: number; offset: number }): string =>
  `${topic}/${partition}@${offset}`

const causeText = ({ place }: Explanation): string => (place.cause === null ? 'nothing that is named' : placeText(place.cause))

const verdict = ({ isEqual, problems, vector, numbers: compared, fields }: Explanation, paint: Paint): string[] => {
  if (isEqual && vector.names.length === 0)
    return [paint.good('✔ No telemetry came, so the vector has no values: there is nothing to compute.')]
  const different = compared.filter((each) => !each.isEqual)
  if (isEqual) return [paint.good(`✔ Computed again from the log: all ${compared.length} numbers are equal, bit by bit.`)]
  const found = [
    ...problems,
    ...(different.length > 0
      ? [`${different.length} of ${compared.length} numbers differ: ${different.map(({ name }) => name).join(', ')}.`]
      : []),
    ...fields.flatMap(({ field, inVector, again, isEqual: is }) =>
      is ? [] : [`${field}: the vector says ${inVector}, computed again ${again}.`],
    ),
  ]
  return [
    paint.bad('✘ The vector does not follow from the log:'),
    ...found.flatMap((each) => wrapped(each, WIDTH - 4).map((line, i) => `  ${i === 0 ? '·' : ' '} ${line}`)),
  ]
}

const wrapped = (words: string, width: number): string[] => {
  const lines: string[] = ['']
  for (const word of words.split(' ')) {
    const last = lines.at(-1) as string
    if (last !== '' && last.length + word.length + 1 > width) lines.push(word)
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`
  }
  return lines
}

const row = (label: string, words: string, paint: Paint): string[] =>
  wrapped(words, WIDTH - 15).map((line, i) => `${paint.soft((i === 0 ? label : '').padEnd(15))}${line}`)

const about = ({ vector, plan, documents }: Explanation, paint: Paint): string[] => [
  ...row(
    'quality',
    [
      vector.quality,
      ...(vector.uncertainRows > 0 ? [`${vector.uncertainRows} uncertain rows`] : []),
      ...(vector.badRows > 0 ? [`${vector.badRows} rows left out`] : []),
    ].join(', '),
    paint,
  ),
  ...row('complete', vector.complete ? 'yes' : `no, ${whyIncomplete(vector)}`, paint),
  ...(vector.regime === null && plan?.regimes.length === 0 ? [] : row('regime', regimeText(vector, plan), paint)),
  ...row('sensors', `${healthText(vector.health)}${healthReasons(vector.health, plan)}`, paint),
  ...(vector.baselineEpochUs === null
    ? []
    : row('serviced', `${stamp(vector.baselineEpochUs)} UTC: rows before it are in no later window`, paint)),
  ...row('feature set', `${vector.featureSetDigest.slice(0, 16)}  ${documents.set}`, paint),
  ...row(
    'plant',
    vector.plantDigest === '' ? `not named  ${documents.plant}` : `${vector.plantDigest.slice(0, 16)}  ${documents.plant}`,
    paint,
  ),
]

const whyIncomplete = ({ missing, young }: Explanation['vector']): string => {
  if (missing.length > 0) return `nothing of ${missing.join(', ')}`
  if (young) return "the window reaches back beyond the asset's first row, its service or its present set (young)"
  return 'something was lost or could not be decoded'
}

/** The first regime whose conditions hold, with the numbers that met them. */
const regimeText = ({ regime, machineOff }: Explanation['vector'], plan: AssetPlan | null): string => {
  if (regime === null) return 'none: no rule of the set held'
  const found = plan?.regimes.find(({ id }) => id === regime)
  const when = found === undefined || plan === null ? '' : found.when.map((condition) => conditionText(plan, condition)).join(' and ')
  return `${regime}${machineOff ? ' (machine off)' : ''}: the first that holds, ${when === '' ? 'without a condition' : `when ${when}`}`
}

const conditionText = ({ names }: AssetPlan, { place, atLeast, below, equals }: Condition): string => {
  const name = names[place] ?? '?'
  if (equals !== null) return `${name} = ${equals}`
  if (atLeast !== null && below !== null) return `${atLeast} ≤ ${name} < ${below}`
  return atLeast === null ? `${name} < ${below}` : `${name} ≥ ${atLeast}`
}

/** What a flag means, with the bound of the set. */
const healthReasons = (health: Explanation['vector']['health'], plan: AssetPlan | null): string => {
  if (health.length === 0 || plan === null) return ''
  const { stuckRows, saturatedShare, dropOutShare, gapPeriods, noiseFactor } = plan.health
  const reasons: Readonly<Record<string, string>> = {
    flat: 'no movement in the whole window',
    stuck: `the last ${stuckRows} rows are equal, those before were not`,
    saturated: `at least ${(saturatedShare ?? 0) * 100} % of the elements at or beyond the range of the channel`,
    'drop-outs': `at least ${(dropOutShare ?? 0) * 100} % of the rows bad or no number`,
    gap: `a pause of more than ${gapPeriods} usual distances between rows`,
    noise: `differences of neighbours changed by more than ${noiseFactor} times`,
  }
  const flags = [...new Set(health.flatMap((each) => each.flags))]
  return `. ${flags.map((flag) => `${flag}: ${reasons[flag] ?? 'as its set says'}`).join('; ')}.`
}

const NAME = 40
const VALUE = 24

const numbers = (explanation: Explanation, plan: AssetPlan, paint: Paint): string[] => {
  const lines: string[] = []
  const byName = new Map(explanation.numbers.map((each) => [each.name, each]))
  const told = new Set<string>()
  for (const call of plan.calls) {
    lines.push(callHead(explanation, plan, call, paint))
    for (const { statistic, places } of call.asked) {
      const { formula, source } = statistics[statistic]
      for (const at of places) {
        const name = plan.names[at] as string
        told.add(name)
        const compared = byName.get(name)
        if (compared !== undefined) lines.push(...numberRows(compared, unitOf(plan, call, name), paint))
      }
      lines.push(...wrapped(`${formula}  (${source})`, WIDTH - 6).map((line) => paint.soft(`      ${line}`)))
    }
    lines.push('')
  }
  const strangers = explanation.numbers.filter(({ name }) => !told.has(name))
  if (strangers.length > 0)
    lines.push(head('not asked for by the set', paint), ...strangers.flatMap((each) => numberRows(each, '', paint)), '')
  lines.pop()
  return lines
}

const unitOf = ({ channels }: AssetPlan, call: Call, name: string): string =>
  unitText(featureUnit(name, channels[call.channels[0] as number]?.unit ?? ''))

const callHead = ({ counts }: Explanation, plan: AssetPlan, call: Call, paint: Paint): string => {
  const ids = call.channels.map((at) => plan.channels[at]?.id ?? '?').join(' and ')
  const { length } = plan.scales[call.scale]!
  const window = 'us' in length ? `last ${length.us / 1_000_000} s of event time` : `last ${length.rows} rows`
  const of = call.channels.map((at) => counts[`${at} ${call.scale}`]).find((each) => each !== undefined)
  const waveform = plan.channels[call.channels[0] as number]?.kind === 'waveform'
  const amount = of === undefined ? '' : waveform ? `, ${of.rows} rows with ${of.elements} elements` : `, ${of.rows} samples`
  return `${head(ids, paint)}${paint.soft(`  ${window}${amount}`)}`
}

const numberRows = ({ name, inVector, again, isEqual }: ComparedNumber, unit: string, paint: Paint): string[] => {
  const { statistic, scale } = featureParts(name)
  const label = cut(
    statisticOf(statistic) === undefined && !name.includes('.') ? name : [statistic, scale].filter(Boolean).join(' @ '),
    NAME - 4,
  )
  const value = `${exact(inVector)}${inVector === null || unit === '' ? '' : ` ${unit}`}`
  const mark = isEqual ? paint.good('=') : paint.bad('≠')
  const other = isEqual ? '' : paint.bad(`  ${exact(again)}${difference(inVector, again)}`)
  return [`  ${mark} ${label.padEnd(NAME - 2)}${value.padStart(VALUE)}${other}`]
}

/** All digits: a difference of one bit shows. */
const exact = (value: number | null): string => (value === null ? 'not computed' : String(value))

const difference = (a: number | null, b: number | null): string => (a === null || b === null ? '' : `  (${numberText(b - a)})`)

const samples = ({ samples: list, missing }: Explanation, paint: Paint): string[] => {
  const rows = list.map(
    ({ sourceId, epoch, seqFrom, seqTo, rows: count, topic, partition, offsetFrom, offsetTo, doors, devices, firstUs, lastUs }) => [
      cut(sourceId, 26),
      String(epoch),
      seqFrom === seqTo ? String(seqFrom) : `${seqFrom}-${seqTo}`,
      String(count),
      `${topic}/${partition}@${offsetFrom === offsetTo ? offsetFrom : `${offsetFrom}-${offsetTo}`}`,
      [...doors, ...devices].join(' ') || '-',
      firstUs === null ? '' : firstUs === lastUs ? clock(firstUs) : `${clock(firstUs).slice(0, 12)} … ${clock(lastUs as number).slice(6)}`,
    ],
  )
  const table = columns([['source', 'epoch', 'numbers', 'rows', 'lies on', 'came by', 'event time'], ...rows])
  return [
    head('Where the samples came from', paint),
    ...table.map((line, i) => (i === 0 ? paint.soft(`  ${line}`) : `  ${line}`)),
    ...missing.map(({ sourceId, epoch, seqFrom, seqTo }) =>
      paint.bad(`  ✘ ${sourceId}, epoch ${epoch}, ${seqFrom}-${seqTo}: no block on the log has these numbers any more`),
    ),
  ]
}

const columns = (rows: readonly (readonly string[])[]): string[] => {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((each) => each[at]?.length ?? 0)))
  return rows.map((each) =>
    cut(
      each
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
      WIDTH - 2,
    ),
  )
}

const revisions = ({ revisions: list, vector, place }: Explanation, paint: Paint): string[] => {
  const rows = list.map((each) => [
    each.place.offset === place.offset ? '→' : ' ',
    `revision ${each.revision}`,
    each.vectorId,
    placeText(each.place),
    `${clock(each.place.timestampMs * 1000)}${each.place.lane === 'live' ? '' : ` ${each.place.lane}`}`,
  ])
  const before = vector.supersedes !== null && !list.some(({ vectorId }) => vectorId === vector.supersedes)
  return [
    head(list.length === 1 ? 'The only revision of its window' : 'Revisions of its window, as they came', paint),
    ...(before ? [`    supersedes ${vector.supersedes}, which lies further back`] : []),
    ...columns(rows).map((line) => `  ${line}`),
  ]
}

const downstream = ({ citations }: Explanation, paint: Paint): string[] => [
  head('What followed from it', paint),
  ...columns(citations.map(({ kind, id, place }) => [kind, id, placeText(place)])).map((line) => `  ${line}`),
]
