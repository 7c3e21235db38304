// The plant at a glance: what is watched, what is still learnt, what cannot be seen, and where every signal comes from.
import type { ReactNode } from 'react'
import type { AssetView, Overview } from '../../src/view.ts'
import { age, number, plural, timesTheLine } from './format.ts'
import { Icon, OriginTag, Panel, Spark } from './parts.tsx'

const states: Readonly<Record<AssetView['state'], readonly ['check' | 'hourglass' | 'help' | 'clock', string]>> = {
  watched: ['check', 'Watched'],
  learning: ['hourglass', 'Learning what is normal'],
  off: ['clock', 'Machine off, not judged'],
  unmonitored: ['help', 'Unmonitored, no telemetry comes'],
  unscored: ['help', 'Not scored, no model answers'],
  silent: ['help', 'Silent, nothing received'],
}

const protocols: Readonly<Record<string, string>> = { opcua: 'OPC UA' }

/** A window is late after three of its periods of a second, and a grace. */
const staleAfterMs = 10_000

const severityOf = (overview: Overview, assetId: string): number =>
  Math.min(3, ...overview.incidents.filter((one) => one.assetId === assetId && one.state !== 'closed').map((one) => one.severity))

const Newest = ({ newestUs, nowMs }: { newestUs: number | null; nowMs: number }): ReactNode => {
  if (newestUs === null) return <span className="i2">none yet</span>
  const ms = nowMs - newestUs / 1000
  if (ms < staleAfterMs) return <>{age(ms)} ago</>
  return (
    <span className="tag">
      <Icon name="clock" size={13} /> late, {age(ms)} ago
    </span>
  )
}

const headline = (overview: Overview): string => {
  const asking = overview.incidents.filter((one) => one.state === 'needs-decision').length
  const open = overview.incidents.filter((one) => one.state !== 'closed').length
  if (open === 0) return 'No incident is open'
  return `${plural(open, 'incident', 'incidents')} open, ${asking === 0 ? 'none needs' : plural(asking, 'needs', 'need')} a decision`
}

export const PlantPage = ({ overview, nowMs, onBack }: { overview: Overview | null; nowMs: number; onBack: () => void }): ReactNode => {
  if (!overview)
    return (
      <div className="plant">
        <h1 className="t20">Reading the log</h1>
      </div>
    )
  const { assets, lines, cameras } = overview
  return (
    <div className="plant">
      <header className="head">
        <button type="button" className="linkish back" onClick={onBack}>
          <Icon name="left" /> Queue
        </button>
        <h1 className="t20" tabIndex={-1}>
          {headline(overview)}
        </h1>
        <p className="i2">An incident appears when a finding leaves what was learnt as normal, or when a person calls.</p>
      </header>
      <Panel title="Assets" note="evidence of the last minute, against the line of their models">
        {assets.length === 0 && <p className="i2">No plant file yet. `andon plant apply` sends one.</p>}
        {assets.length > 0 && (
          <div className="scroll" role="region" aria-label="Assets, table" tabIndex={0}>
            <table className="tbl">
              <thead>
                <tr>
                  <th>Asset</th>
                  <th>Line</th>
                  <th>Where data comes from</th>
                  <th>State</th>
                  <th>Last minute</th>
                  <th className="num">Evidence</th>
                  <th className="num">Newest window</th>
                </tr>
              </thead>
              <tbody>
                {assets.map((asset) => (
                  <tr key={asset.id}>
                    <td>
                      <div className="med">{asset.name}</div>
                      <div className="i2 cut channels">{asset.channels.join(', ')}</div>
                    </td>
                    <td>{asset.lineName}</td>
                    <td>
                      <OriginTag origin={asset.origin} />
                    </td>
                    <td>
                      <span className="tag">
                        <Icon name={states[asset.state][0]} size={13} />
                        {states[asset.state][1]}
                      </span>
                      {asset.suspected.length > 0 && <div className="i2 cut">Sensor suspected: {asset.suspected.join(', ')}</div>}
                      {asset.regime !== null && <div className="i2 cut">Regime {asset.regime}</div>}
                    </td>
                    <td>
                      <Spark ratios={asset.recent} level={severityOf(overview, asset.id)} />
                    </td>
                    <td className="num">
                      {asset.ratio === null ? <span className="i2">none</span> : `${number(timesTheLine(asset.ratio))}× its line`}
                    </td>
                    <td className="num">
                      <Newest newestUs={asset.newestUs} nowMs={nowMs} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
      <div className="halves">
        <Panel title="Lines" note="what Andon may ask, and of what">
          <table className="tbl">
            <tbody>
              {lines.map((line) => (
                <tr key={line.id}>
                  <td className="med">{line.name}</td>
                  <td>
                    {line.controlSystem === null
                      ? 'takes no commands'
                      : `control system by ${protocols[line.controlSystem] ?? line.controlSystem}`}
                  </td>
                  <td>{line.controlSystem !== null && <OriginTag origin={line.simulated ? 'simulated' : 'live'} />}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Panel>
        <Panel title="Cameras" note="what they see">
          {cameras.length === 0 && <p className="i2 t12">The plant file names no camera: no clip can be stored.</p>}
          <table className="tbl">
            <tbody>
              {cameras.map((camera) => (
                <tr key={camera.id}>
                  <td className="med">{camera.name}</td>
                  <td className="cut">{camera.sees.join(', ')}</td>
                  <td>
                    <OriginTag origin={camera.origin} noun={camera.origin === 'simulated' ? 'scene' : ''} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Panel>
      </div>
    </div>
  )
}
