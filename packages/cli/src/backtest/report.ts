// The report of a backtest as one page: what was found, how it compares with labels, score and channels over time, every episode and what
// was done with the recording. Without script the table still says everything.

import { digits, shownName } from './files.ts'
import { reportScript, reportStyle } from './report-page.ts'
import { type Episode, type Metrics, type Tally, metricsOf, partsOf } from './tally.ts'

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

const MOST_EPISODES = 500

/** 65535 where there is no value, else the place between the extremes. */
const packed = (values: Float32Array, min: number, max: number): string => {
  const out = Buffer.alloc(2 * values.length)
  values.forEach((value, i) => out.writeUInt16LE(value !== value ? 65_535 : Math.round(((value - min) / (max - min || 1)) * 65_534), 2 * i))
  return out.toString('base64')
}

const extremes = (low: Float32Array, high: Float32Array): [number, number] => {
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  low.forEach((value) => value < min && (min = value))
  high.forEach((value) => value > max && (max = value))
  return max >= min ? [min, max] : [0, 0]
}

/** Channels by their part in the episodes, so that those which explain the most are seen first. */
const dataOf = (tally: Tally, episodes: readonly Episode[]) => {
  const { scan, plots, intervals, learntUntil } = tally
  const assets = plots.map(({ asset, fromUs, toUs, points, low, high, score }) => {
    const weight = new Map<string, number>()
    for (const episode of tally.episodes)
      if (episode.asset === asset)
        for (const [name, sum] of episode.shares) weight.set(channelOf(name), (weight.get(channelOf(name)) ?? 0) + sum)
    const order = low.map((_, j) => j).toSorted((a, b) => (weight.get(nameAt(scan, b)) ?? 0) - (weight.get(nameAt(scan, a)) ?? 0) || a - b)
    const [, highest] = extremes(score, score)
    return {
      id: scan.assets[asset]?.id ?? '',
      place: asset,
      fromUs,
      toUs,
      points,
      learnUs: learntUntil[asset]?.timeUs ?? fromUs,
      score: { max: highest, data: packed(score, 0, highest) },
      channels: order.map((j) => {
        const [lo, hi] = [low[j] as Float32Array, high[j] as Float32Array]
        const [min, max] = extremes(lo, hi)
        return {
          name: nameAt(scan, j),
          unit: scan.channels[j]?.unit ?? '1',
          min,
          max,
          low: packed(lo, min, max),
          high: packed(hi, min, max),
        }
      }),
    }
  })
  const span = ({ asset, startUs, endUs }: { asset: number; startUs: number; endUs: number }) => ({ asset, fromUs: startUs, toUs: endUs })
  return { timeKind: scan.timeKind, assets, episodes: episodes.map(span), labels: intervals.slice(0, 2000).map(span) }
}

const nameAt = ({ channels }: Tally['scan'], at: number): string => channels[at]?.name ?? ''

const channelOf = (name: string): string => name.slice(0, name.lastIndexOf('.'))

const percent = (value: number | null): string => (value === null ? '–' : `${(100 * value).toFixed(value > 0 && value < 0.1 ? 1 : 0)} %`)

const card = (value: string, words: string): string => `<div><b>${escaped(value)}</b><span>${escaped(words)}</span></div>`

const SEVERITIES: Readonly<Record<number, string>> = { 1: '▲ 1 grave', 2: '▲ 2 clear', 3: '▼ 3 slight' }

const rowHtml = (episode: Episode, at: number, { scan }: Tally): string => {
  const severity = episode.severity ?? 3
  const parts = partsOf(episode).slice(0, 3)
  const leading = new Map(episode.leading.map((each) => [each.name, each]))
  const range = (name: string): string => {
    const found = leading.get(name)
    if (found === undefined || found.low === null || found.high === null) return ''
    return `at the peak ${digits(Number(found.value.toPrecision(4)))}; normal ${digits(Number(found.low.toPrecision(4)))} to ${digits(Number(found.high.toPrecision(4)))}`
  }
  return `<tr data-e="${at}" tabindex="0">${scan.hasAssets ? `<td>${escaped(scan.assets[episode.asset]?.id ?? '')}</td>` : ''}<td class="t">${escaped(episode.start)}</td><td class="t">${episode.isOpen ? 'still open' : escaped(episode.end)}</td><td class="n">${episode.endRow - episode.startRow + 1}</td><td><span class="sev s${severity}">${SEVERITIES[severity] ?? severity}</span></td><td class="n">${digits(Number(episode.peak.toPrecision(3)))}</td><td>${parts
    .map(
      ({ name, share }) =>
        `<div class="bar" title="${escaped(range(name))}"><span>${escaped(shownName(name, scan))}</span><i><b style="width:${Math.round(100 * share)}%"></b></i><em>${Math.round(100 * share)} %</em></div>`,
    )
    .join('')}</td>${scan.hasLabels ? `<td>${episode.labelledRows > 0 ? `${episode.labelledRows} rows` : 'none'}</td>` : ''}</tr>`
}

const intervalsHtml = ({ intervals, scan }: Tally): string =>
  intervals
    .slice(0, MOST_EPISODES)
    .map(
      ({ asset, start, end, rows, found }) =>
        `<tr>${scan.hasAssets ? `<td>${escaped(scan.assets[asset]?.id ?? '')}</td>` : ''}<td class="t">${escaped(start)}</td><td class="t">${escaped(end)}</td><td class="n">${rows}</td><td>${found === undefined ? 'not found' : found.rows === 0 ? 'found at once' : `found after ${found.rows} rows${scan.timeKind === 'row' ? '' : ` (${lengthWords(found.us)})`}`}</td></tr>`,
    )
    .join('')

const lengthWords = (us: number): string => {
  const s = us / 1e6
  if (s < 120) return `${digits(s)} s`
  if (s < 7200) return `${Math.round(s / 60)} min`
  return s < 172_800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86_400)} d`
}

const headline = ({ episodes, judgedRows, flaggedRows }: Tally): string => {
  if (episodes.length === 0) return 'Nothing was far from what was learned'
  const flagged = flaggedRows.reduce((sum, count) => sum + count, 0)
  return `${episodes.length} ${episodes.length === 1 ? 'episode' : 'episodes'} in ${judgedRows} judged rows, ${percent(flagged / judgedRows)} of them flagged`
}

export const reportHtml = (title: string, tally: Tally, labels: ReturnType<typeof metricsOf> | null, notes: readonly string[]): string => {
  const { scan, episodes } = tally
  const listed = episodes
    .toSorted((a, b) => (a.severity ?? 9) - (b.severity ?? 9) || b.peak - a.peak)
    .slice(0, MOST_EPISODES)
    .toSorted((a, b) => a.asset - b.asset || a.startRow - b.startRow)
  const data = JSON.stringify(dataOf(tally, listed)).replaceAll('<', '\\u003c')
  const asset = scan.hasAssets ? '<th>Asset</th>' : ''
  const cards = labels === null ? '' : cardsHtml(labels)
  const plotted = tally.plots.length
  const pick =
    plotted > 1
      ? `<select id="asset" aria-label="Asset">${tally.plots.map(({ asset: at }, i) => `<option value="${i}">${escaped(scan.assets[at]?.id ?? '')}</option>`).join('')}</select>`
      : ''
  const said = [
    `Learned from ${scan.learnt}, without labels; judged every row after them by what was known up to that row.`,
    ...(scan.assets.length > plotted ? [`Plotted are the first ${plotted} of ${scan.assets.length} assets; the files have all.`] : []),
    ...(scan.channels.length > (tally.plots[0]?.low.length ?? 0)
      ? [`Plotted are the first ${tally.plots[0]?.low.length ?? 0} of ${scan.channels.length} channels; all were judged.`]
      : []),
    ...(episodes.length > MOST_EPISODES
      ? [`The ${MOST_EPISODES} gravest of ${episodes.length} episodes are listed; episodes.csv has all.`]
      : []),
    ...notes,
  ]
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${escaped(title)} · andon backtest</title><style>${reportStyle}</style></head>
<body><header><b>andon</b><span>Backtest of ${escaped(title)}</span><button id="theme" type="button">Light or dark</button></header>
<main><div><h1>${escaped(headline(tally))}</h1><p>${scan.rows} rows of ${scan.channels.length} ${scan.channels.length === 1 ? 'channel' : 'channels'}${scan.hasAssets ? `, ${scan.assets.length} assets` : ''}. Recorded data, not live.</p></div>
${cards}
<section><h2>Score and channels <small>drag to zoom, arrow keys move the cursor</small><span class="end">${pick}<button id="more" type="button" hidden></button><button id="reset" type="button" hidden>Whole recording</button></span></h2><div class="plot" id="plot" tabindex="0" role="group" aria-label="Score and channels over time"><noscript>The plots need JavaScript; the tables below do not.</noscript></div>
<div class="key"><span><i style="background:var(--learn)"></i>learned from</span><span><i style="background:var(--ep);opacity:.45;border-top:3px solid var(--ep-edge)"></i>episode</span>${scan.hasLabels ? '<span><i style="background:var(--label);height:4px"></i>labelled</span>' : ''}<span><i style="border-top:1px dashed var(--ink-3);height:3px"></i>line: above it a row is unusual</span></div></section>
<section><h2>Episodes <small>${episodes.length === 0 ? 'none' : 'choose one to see it'}</small></h2>${listed.length === 0 ? '<ul><li>An episode begins when several rows in a row are further from normal than what was learned. There was none.</li></ul>' : `<div class="scroll"><table><thead><tr>${asset}<th>Start</th><th>End</th><th class="n">Rows</th><th>Severity</th><th class="n">Peak score</th><th>Mostly</th>${scan.hasLabels ? '<th>Labelled</th>' : ''}</tr></thead><tbody>${listed.map((episode, at) => rowHtml(episode, at, tally)).join('')}</tbody></table></div>`}</section>
${tally.intervals.length === 0 ? '' : `<section><h2>Labelled intervals <small>each found when a row inside it is flagged</small></h2><div class="scroll"><table><thead><tr>${asset}<th>Start</th><th>End</th><th class="n">Rows</th><th>Found</th></tr></thead><tbody>${intervalsHtml(tally)}</tbody></table></div></section>`}
<section><h2>What was done</h2><ul>${said.map((note) => `<li>${escaped(note)}</li>`).join('')}</ul></section>
<footer>scores.csv has a line for every row, episodes.csv every episode. Andon is not a safety function. Emergency stops and interlocks work without it.</footer></main>
<script type="application/json" id="data">${data}</script><script>${reportScript}</script></body></html>
`
}

const cardsHtml = ({ precision, recall, f1, far, mar, intervals, detectedIntervals }: Metrics): string =>
  `<div class="cards">${[
    card(f1 === null ? '–' : f1.toFixed(3), 'F1, row by row, not adjusted'),
    card(percent(precision), 'precision: flagged rows that are labelled'),
    card(percent(recall), 'recall: labelled rows that are flagged'),
    card(percent(far), 'false alarms: unlabelled rows that are flagged'),
    card(percent(mar), 'missed: labelled rows that are not flagged'),
    card(`${detectedIntervals} of ${intervals}`, 'labelled intervals found'),
  ].join('')}</div>`
