// One incident in reading order: what, what changed, the pictures, what drives the score, how sure, what happened so far.
import { type ReactNode, useState } from 'react'
import { unitText } from '@andon/schemas/units'
import type { IncidentView } from '../../src/view.ts'
import { Evidence } from './evidence.tsx'
import { age, clock, day, number, percent, priorityName, range, short, timesTheLine, withUnit } from './format.ts'
import { Deviation, Icon, OriginTag, Panel, Priority } from './parts.tsx'
import { Trend } from './trend.tsx'

const doubtWords: Readonly<Record<string, string>> = {
  'missing-features': 'a channel is missing in the window, or its sensor is suspected',
  'uncertain-samples': 'samples of uncertain quality went in',
  'out-of-domain': 'the input is outside what the model has seen',
  'non-champion': 'the model is advisory: it may propose, a person decides',
  'stale-calibration': 'the model learnt before the asset was serviced',
  'gate-error': 'the policy could not be evaluated',
}

const horizons = [2, 10, 30] as const

/** Shortest range that shows the opening and what was before it. */
const horizonFor = (incident: IncidentView, nowMs: number): number =>
  horizons.find((h) => h * 60_000 > nowMs - incident.openedUs / 1000 + 30_000) ?? 30

interface IncidentProps {
  readonly incident: IncidentView
  readonly place: string
  readonly nowMs: number
  readonly timeZone: string
  /** End of the newest window of the asset. */
  readonly newestUs: number | null
  readonly onBack: () => void
}

const lead = (incident: IncidentView): string => {
  if (incident.kind === 'call') return `Raised by hand by ${incident.openedBy}. No model judged it.`
  if (incident.about === 'sensor')
    return 'A sensor is at fault, not the machine. What it says counts as no evidence until it is well again.'
  if (incident.about === 'telemetry') return 'Nobody watches this asset until telemetry comes again. What is open stays open, unjudged.'
  if (incident.model === null) return 'An absolute limit of the plant file is exceeded, whatever was learnt as normal.'
  if (incident.faultMode !== null) return `Most likely ${incident.faultMode}, by its likeness to earlier cases that people named so.`
  if (incident.isNovel) return 'Unlike anything seen on this asset before. The score says what stands out, not why.'
  return 'Seen before on this asset, and nobody has named it yet. The score says what stands out, not why.'
}

/** Keeps a range of numbers and a value with its unit on one line. */
const whole = (title: string): string => title.replaceAll(/(\d)-(\d)/g, '$1\u2011$2').replaceAll(/(\d) ([×a-zA-Z°%])/g, '$1\u00a0$2')

export const Incident = ({ incident, place, nowMs, timeZone, newestUs, onBack }: IncidentProps): ReactNode => {
  const [minutes, setMinutes] = useState<number>(() => horizonFor(incident, nowMs))
  const [picked, setPicked] = useState<string | null>(null)
  const feature = picked ?? incident.contributions[0]?.name ?? null
  const shown = incident.contributions.find((one) => one.name === feature)
  return (
    <div className="incident">
      <header className="head">
        <button type="button" className="linkish back" onClick={onBack}>
          <Icon name="left" /> Queue <span className="end i2">{place}</span>
        </button>
        <div className="row t12 i2 wrap">
          <Priority level={incident.severity} ring={incident.state === 'needs-decision'} />
          <b className={`p${incident.severity}t`}>{priorityName(incident.severity)}</b>
          <code title={incident.id}>{short(incident.id)}</code>
          <span>
            open since {clock(incident.openedUs, timeZone)}
            {incident.state === 'closed' ? `, closed ${clock(incident.updatedUs, timeZone)}` : `, ${age(nowMs - incident.openedUs / 1000)}`}
          </span>
          {incident.origin !== null && <OriginTag origin={incident.origin} noun={incident.origin === 'recording' ? '' : 'data'} />}
          {incident.recordedUs !== null && <span className="chip">recorded {day(incident.recordedUs, timeZone)}</span>}
          {incident.historical && <span className="chip">historical, proposes nothing</span>}
          <span className="end nw place">{place}</span>
        </div>
        <h1 className="t20" tabIndex={-1}>
          {whole(incident.title)}
        </h1>
        <p className="i2">{lead(incident)}</p>
      </header>
      <div className="facts">
        <Panel
          title="What changed"
          className="changed"
          note={
            feature === null
              ? 'no signal'
              : `${shown?.label ?? feature}${shown && unitText(shown.unit) !== '' ? `, ${unitText(shown.unit)}` : ''}`
          }
          aside={
            <span className="seg" role="group" aria-label="Time range">
              {horizons.map((h) => (
                <button type="button" key={h} aria-pressed={h === minutes} onClick={() => setMinutes(h)}>
                  {h} min
                </button>
              ))}
            </span>
          }
        >
          {feature === null ? (
            <p className="i2 t12">This incident names no signal: a person raised it.</p>
          ) : (
            <Trend
              assetId={incident.assetId}
              feature={feature}
              minutes={minutes}
              openedUs={incident.openedUs}
              timeZone={timeZone}
              level={incident.severity}
              newestUs={newestUs}
            />
          )}
        </Panel>
        <Evidence incident={incident} timeZone={timeZone} />
        <Drivers incident={incident} feature={feature} onPick={setPicked} />
        <HowSure incident={incident} />
      </div>
      <SoFar incident={incident} timeZone={timeZone} />
    </div>
  )
}

const Drivers = ({
  incident,
  feature,
  onPick,
}: {
  incident: IncidentView
  feature: string | null
  onPick: (name: string) => void
}): ReactNode => {
  const { contributions } = incident
  const others = Math.max(0, 1 - contributions.reduce((sum, one) => sum + one.share, 0))
  return (
    <Panel title="What drives the score" note={contributions.length > 0 ? `all others, ${percent(others)}` : undefined}>
      {contributions.length === 0 && <p className="i2 t12">No signal was named.</p>}
      {contributions.length > 0 && (
        <table className="tbl drivers">
          <thead>
            <tr>
              <th>Signal</th>
              <th className="num">Then</th>
              <th className="num">Normal</th>
              <th className="bar">Deviation</th>
              <th className="num">Share</th>
            </tr>
          </thead>
          <tbody>
            {contributions.map((one) => (
              <tr key={one.name} className={one.name === feature ? 'picked' : ''}>
                <td>
                  <button
                    type="button"
                    className="linkish cut"
                    aria-pressed={one.name === feature}
                    title={one.name}
                    onClick={() => onPick(one.name)}
                  >
                    {one.label}
                  </button>
                </td>
                <td className="num">
                  <b>{withUnit(one.value, one.unit)}</b>
                </td>
                <td className="num i2">{range(one.low, one.high)}</td>
                <td className="bar">
                  <Deviation value={one.value} low={one.low} high={one.high} level={incident.severity} width={56} />
                </td>
                <td className="num">{percent(one.share)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  )
}

const HowSure = ({ incident }: { incident: IncidentView }): ReactNode => {
  const { ratio, peakRatio, model, doubts } = incident
  if (ratio === null || !model)
    return (
      <Panel title="How sure">
        <p className="i2 t12">{incident.kind === 'call' ? 'A person called. ' : ''}No model judged this, so there is no score.</p>
      </Panel>
    )
  return (
    <Panel title="How sure" note="no percent yet">
      <div className="row">
        <span className="count">{number(timesTheLine(ratio))}×</span>
        <span className="t12 i2">
          as far from normal as the line
          <br />
          peak {number(timesTheLine(peakRatio ?? ratio))}×
        </span>
      </div>
      <p className="t12 i2 sure">
        At 1× normal ends. Fewer than 20 findings of this model were judged: nobody can say yet how often it is right.
      </p>
      <dl className="kv">
        <dt>Model</dt>
        <dd>
          <b>{model.name}</b> v{model.version}, {model.role}
        </dd>
        <dt>Asks as</dt>
        <dd>{doubts.length === 0 ? 'the plan wants a person' : doubts.map((doubt) => doubtWords[doubt] ?? doubt).join('; ')}</dd>
      </dl>
    </Panel>
  )
}

const SoFar = ({ incident, timeZone }: { incident: IncidentView; timeZone: string }): ReactNode => (
  <Panel
    title="So far"
    className="sofar"
    note={incident.policy === null ? undefined : `plan ${incident.policy.replace('policies/', '')}`}
    aside={incident.runbook === null ? undefined : <code className="i2">{incident.runbook}</code>}
  >
    {incident.notes.map((note) => (
      <p className="t12 i2" key={note}>
        {note}
      </p>
    ))}
    <ol>
      {incident.timeline.toReversed().map((entry, i) => (
        <li key={incident.timeline.length - i} className="row t12">
          <time className="i2 num">{clock(entry.atUs, timeZone)}</time>
          <span>{entry.text}</span>
        </li>
      ))}
    </ol>
  </Panel>
)
