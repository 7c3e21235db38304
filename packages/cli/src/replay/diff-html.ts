// A diff as one self-contained page: no script, no outside file. Normal is grey; only what differs has a colour, and the
// kind of difference is told by word and shape as well.

import type { FieldDifference } from './compare.ts'
import type { Counts, DiffExample, DiffReport, TopicDiff, Verdict } from './diff.ts'

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

const count = (value: number): string => value.toLocaleString('en-US').replaceAll(',', '\u202f')

const number = (value: number): string => {
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value)
  return Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(5)))
}

const valueText = (value: unknown): string => {
  if (typeof value === 'number') return number(value)
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing')
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}

const utc = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`

const verdicts: readonly Verdict[] = ['same', 'changed', 'missing', 'new']
const marks: Readonly<Record<Verdict, string>> = { same: '', changed: '◆', missing: '−', new: '+' }

const sum = (counts: Counts): number => counts.same + counts.changed + counts.missing + counts.new

const bar = (counts: Counts): string => {
  const total = Math.max(1, sum(counts))
  const parts = verdicts
    .filter((verdict) => counts[verdict] > 0)
    .map(
      (verdict) => `<i class="${verdict}" style="flex-grow:${counts[verdict] / total}" title="${verdict}: ${count(counts[verdict])}"></i>`,
    )
  return `<div class="bar" role="img" aria-label="${verdicts.map((verdict) => `${count(counts[verdict])} ${verdict}`).join(', ')}">${parts.join('')}</div>`
}

const cells = (counts: Counts): string =>
  verdicts
    .map((verdict) => `<td class="n ${counts[verdict] > 0 && verdict !== 'same' ? verdict : 'quiet'}">${count(counts[verdict])}</td>`)
    .join('')

const kpis = (topic: TopicDiff): string =>
  verdicts
    .map(
      (verdict) =>
        `<div class="kpi ${topic[verdict] > 0 ? verdict : 'quiet'}"><b>${count(topic[verdict])}</b><span>${marks[verdict]} ${verdict}</span></div>`,
    )
    .join('')

const fieldsTable = ({ fields, changed }: TopicDiff): string =>
  fields.length === 0
    ? ''
    : `<h3>Fields that differ</h3><div class="scroll"><table><thead><tr><th>field</th><th class="n">records</th><th class="wide"></th><th class="n">largest |Δ|</th></tr></thead><tbody>${fields
        .slice(0, 40)
        .map(
          ({ path, records, largestDelta }) =>
            `<tr><td class="mono">${escape(path)}</td><td class="n">${count(records)}</td><td><div class="bar thin"><i class="changed" style="flex-grow:${records / Math.max(1, changed)}"></i><i class="none" style="flex-grow:${1 - records / Math.max(1, changed)}"></i></div></td><td class="n">${largestDelta === null ? '–' : number(largestDelta)}</td></tr>`,
        )
        .join('')}</tbody></table></div>`

const groupsTable = ({ groups }: TopicDiff): string =>
  `<h3>By asset and fault mode</h3><div class="scroll"><table><thead><tr><th>asset</th><th>fault mode</th><th class="wide"></th>${verdicts.map((verdict) => `<th class="n">${verdict}</th>`).join('')}</tr></thead><tbody>${groups
    .slice(0, 100)
    .map(
      (group) =>
        `<tr><td>${escape(group.assetId)}</td><td>${group.faultMode === '-' ? '–' : escape(group.faultMode)}</td><td>${bar(group)}</td>${cells(group)}</tr>`,
    )
    .join('')}</tbody></table></div>`

const fieldRow = ({ path, element, before, after, delta }: FieldDifference): string =>
  `<tr><td class="mono">${escape(path)}${element === null ? '' : ` <span class="dim">${escape(element)}</span>`}</td><td class="n">${escape(valueText(before))}</td><td class="n">${escape(valueText(after))}</td><td class="n">${delta === null ? '–' : number(delta)}</td></tr>`

const example = (each: DiffExample): string => {
  const when = each.atUs === null ? '' : utc(each.atUs / 1000)
  const head = `<summary><span class="tag ${each.verdict}">${marks[each.verdict]} ${each.verdict}</span> <b>${escape(each.assetId)}</b> ${when} <span class="dim">${escape(each.faultMode === '-' ? '' : each.faultMode)}</span></summary>`
  const places = `<p class="mono dim">${[each.before, each.after].map((place) => escape(place ?? 'nothing')).join(' → ')}</p>`
  const table =
    each.fields.length === 0
      ? ''
      : `<div class="scroll"><table><thead><tr><th>field</th><th class="n">before</th><th class="n">run</th><th class="n">|Δ|</th></tr></thead><tbody>${each.fields.map(fieldRow).join('')}</tbody></table></div>`
  return `<details>${head}${places}${table}</details>`
}

const section = (topic: TopicDiff, against: string): string =>
  `<section><h2>${escape(topic.topic)} <span class="dim">against ${escape(against)}, ${count(sum(topic))} records</span></h2><div class="kpis">${kpis(topic)}</div>${bar(topic)}${groupsTable(topic)}${fieldsTable(topic)}${topic.examples.length === 0 ? '' : `<h3>Examples</h3>${topic.examples.map(example).join('')}`}</section>`

const style = `:root{color-scheme:light dark;--bg:#e8eaec;--surface:#f5f6f7;--raised:#fff;--line:#d2d6da;--ink:#1a1e23;--ink-2:#434b54;--ink-3:#5a636d;--track:#dde0e3;--same:#b4bbc2;--changed:#c95c00;--changed-ink:#8a4100;--missing:#c5161d;--missing-ink:#a91117;--new:#8a4fb5;--new-ink:#65308b;--focus:#16597a}
@media(prefers-color-scheme:dark){:root{--bg:#121417;--surface:#1a1d21;--raised:#23272c;--line:#2b3036;--ink:#e3e6e9;--ink-2:#b3bac2;--ink-3:#929ba5;--track:#2b3036;--same:#4d555e;--changed:#ff9a3c;--changed-ink:#ffac60;--missing:#ff6f6c;--missing-ink:#ff8d8a;--new:#c197e4;--new-ink:#c9a4e8;--focus:#8cc6e4}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:420 13px/18px Inter,system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px 16px 48px}header{margin-bottom:16px}h1{font-size:20px;line-height:26px;font-weight:640;margin:0 0 4px}h2{font-size:16px;line-height:22px;font-weight:640;margin:0 0 12px}h3{font-size:13px;font-weight:540;color:var(--ink-2);margin:24px 0 6px}
.dim{color:var(--ink-3);font-weight:420}.mono{font-family:"IBM Plex Mono",ui-monospace,"SFMono-Regular",Consolas,monospace;font-size:12px}section{background:var(--surface);border:1px solid var(--line);border-radius:6px;padding:16px;margin-bottom:12px}
.kpis{display:flex;flex-wrap:wrap;gap:24px;margin-bottom:12px}.kpi b{display:block;font-size:28px;line-height:32px;font-weight:540;font-feature-settings:"tnum"}.kpi span{color:var(--ink-3)}.kpi.quiet b{color:var(--ink-3)}.kpi.changed b{color:var(--changed-ink)}.kpi.missing b{color:var(--missing-ink)}.kpi.new b{color:var(--new-ink)}
.bar{display:flex;gap:1px;height:12px;border-radius:2px;overflow:hidden;background:var(--track);min-width:120px}.bar.thin{height:6px}.bar i{display:block;min-width:2px;flex-basis:0}.bar i.none{min-width:0}i.same{background:var(--same)}i.changed{background:var(--changed)}i.missing{background:var(--missing)}i.new{background:var(--new)}
table{width:100%;border-collapse:collapse}th{font-size:12px;font-weight:540;color:var(--ink-3);text-align:left}th,td{padding:5px 12px 5px 0;border-bottom:1px solid var(--line);vertical-align:middle}tr:last-child td{border-bottom:0}.n{text-align:right;font-feature-settings:"tnum";white-space:nowrap}.wide{width:32%}.scroll{overflow-x:auto}td.quiet{color:var(--ink-3)}td.changed{color:var(--changed-ink);font-weight:540}td.missing{color:var(--missing-ink);font-weight:540}td.new{color:var(--new-ink);font-weight:540}
details{background:var(--raised);border:1px solid var(--line);border-radius:4px;padding:6px 12px;margin-top:6px}summary{cursor:pointer}summary:focus-visible{outline:2px solid var(--focus);outline-offset:2px}details p{margin:6px 0}.tag{display:inline-block;min-width:76px;font-weight:540}.tag.changed{color:var(--changed-ink)}.tag.missing{color:var(--missing-ink)}.tag.new{color:var(--new-ink)}
footer{color:var(--ink-3);font-size:12px}`

/** The page, in words for whoever decides whether to promote the run. */
export const diffHtml = (report: DiffReport): string => {
  const { run, against, topics } = report
  const total = topics.reduce((all, topic) => all + sum(topic), 0)
  const differing = topics.reduce((all, topic) => all + sum(topic) - topic.same, 0)
  const sentence =
    differing === 0
      ? `${run} says what ${against} says, in all ${count(total)} records.`
      : `${run} differs from ${against} in ${count(differing)} of ${count(total)} records.`
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escape(`${run} against ${against}`)}</title><style>${style}</style></head><body><main><header><h1>${escape(sentence)}</h1><div class="dim">Record time from ${utc(report.fromMs)} to ${utc(report.toMs)}</div></header>${topics.map((topic) => section(topic, against)).join('')}<footer>Records meet by what they are about: windows by asset, feature set and start, findings by episode and transition, actions by incident and step. Of a window the highest order counts. Fields that a clock or the run itself made are left out.</footer></main></body></html>`
}
