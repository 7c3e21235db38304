// One incident in reading order: what, what changed, what drives the score, how sure, the pictures.
import { type ReactNode, useState } from 'react'
import type { IncidentView } from '../../src/view.ts'
import { Evidence } from './evidence.tsx'
import { age, clock, day, number, percent, priorityName, range, short, withUnit } from './format.ts'
import { Deviation, Panel, Priority } from './parts.tsx'
import { Trend } from './trend.tsx'

const doubtWords: Readonly<Record<string, string>> = {
  'missing-features': 'a channel is missing in the window',
  'out-of-domain': 'the input is outside what the model has seen',
  'non-champion': 'the model is advisory: it may propose, a person decides',
  'stale-calibration': 'the calibration is stale',
  'gate-error': 'the policy could not be evaluated',
}

const horizons = [2, 10, 30] as const

export const Incident = ({
  incident,
  nowMs,
  timeZone,
  version,
}: {
  incident: IncidentView
  nowMs: number
  timeZone: string
  version: number
}): ReactNode => {
  const [minutes, setMinutes] = useState<number>(2)
  const [picked, setPicked] = useState<string | null>(null)
  const feature = picked ?? incident.contributions[0]?.name ?? null
  const shown = incident.contributions.find((c) => c.name === feature)
  const others = 1 - incident.contributions.reduce((sum, c) => sum + c.share, 0)
  return (
    <div className="incident">
      <header className="head">
        <div className="row t12 i2 wrap">
          <Priority level={incident.severity} ring={incident.state === 'needs-decision'} />
          <b className={`p${incident.severity}t`}>{priorityName(incident.severity)}</b>
          <code title={incident.id}>{short(incident.id)}</code>
          <span>
            open since {clock(incident.openedUs, timeZone)}, {age(nowMs - incident.openedUs / 1000)}
          </span>
          {incident.recordedUs !== null && <span className="chip">recorded {day(incident.recordedUs, timeZone)}</span>}
          {incident.historical && <span className="chip">historical</span>}
          {incident.state === 'closed' && <span className="chip">closed</span>}
        </div>
        <h1 className="t20" tabIndex={-1}>
          {incident.title}
        </h1>
      </header>
      <Panel
        title="What changed"
        note={feature === null ? 'no signal' : (shown?.label ?? feature)}
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
          <p className="i3 t12">This incident names no signal: a person raised it.</p>
        ) : (
          <Trend
            assetId={incident.assetId}
            feature={feature}
            minutes={minutes}
            openedUs={incident.openedUs}
            timeZone={timeZone}
            level={incident.severity}
            version={version}
          />
        )}
      </Panel>
      <div className="split">
        <Panel title="What drives the score" note={incident.contributions.length > 0 ? `others, ${percent(Math.max(0, others))}` : ''}>
          <table className="tbl">
            <thead>
              <tr>
                <th>Signal</th>
                <th className="num">Now</th>
                <th className="num">Normal</th>
                <th>Deviation</th>
                <th className="num">Share</th>
              </tr>
            </thead>
            <tbody>
              {incident.contributions.map((c) => (
                <tr key={c.name} aria-selected={c.name === feature}>
                  <td className="cut">
                    <button type="button" className="linkish" onClick={() => setPicked(c.name)}>
                      {c.label}
                    </button>
                  </td>
                  <td className="num">
                    <b>{withUnit(c.value, c.unit)}</b>
                  </td>
                  <td className="num i2">{range(c.low, c.high)}</td>
                  <td>
                    <Deviation value={c.value} low={c.low} high={c.high} level={incident.severity} width={84} />
                  </td>
                  <td className="num">{percent(c.share)}</td>
                </tr>
              ))}
            </tbody>
          </table>
          {incident.contributions.length === 0 && <p className="i3 t12">No signal was named.</p>}
        </Panel>
        <Evidence incident={incident} timeZone={timeZone} />
      </div>
      <Panel title="How sure" note="no calibrated confidence yet: fewer than 20 judged cases">
        <dl className="kv">
          <dt>Evidence</dt>
          <dd>
            {incident.ratio === null
              ? 'a person called'
              : `${number(incident.ratio)}× the line now, ${number(incident.peakRatio ?? incident.ratio)}× at its peak`}
          </dd>
          <dt>Model</dt>
          <dd>
            {incident.model ? (
              <>
                <b>{incident.model.name}</b> v{incident.model.version}, {incident.model.role},{' '}
                <code title={incident.model.digest}>{short(incident.model.digest)}</code>
              </>
            ) : (
              'none'
            )}
          </dd>
          <dt>Asks because</dt>
          <dd>{incident.doubts.length === 0 ? 'no doubt was named' : incident.doubts.map((d) => doubtWords[d] ?? d).join('; ')}</dd>
        </dl>
      </Panel>
    </div>
  )
}
