// The clip that shows why: one camera at a time, its custody, what was asked for and what was stored.
import { type ReactNode, useState } from 'react'
import type { IncidentView } from '../../src/view.ts'
import { clock, short } from './format.ts'
import { Icon, Panel } from './parts.tsx'

export const Evidence = ({ incident, timeZone }: { incident: IncidentView; timeZone: string }): ReactNode => {
  const [chosen, setChosen] = useState(0)
  const clip = incident.clips[Math.min(chosen, incident.clips.length - 1)]
  if (!clip)
    return (
      <Panel title="Evidence" note="video">
        <p className="i2 t12">
          {incident.evidenceFailure !== null
            ? `No clip could be stored: ${incident.evidenceFailure}`
            : incident.evidencePending
              ? 'Ordered. The clip is stored a few seconds after its last picture.'
              : 'No camera was ordered for this incident. One is ordered when a plan with evidence is proposed.'}
        </p>
      </Panel>
    )
  const custody = clip.gaps.length === 0 ? 'Hash stored' : `Gap, ${clip.gaps.length}`
  return (
    <Panel
      title="Evidence"
      note={clip.cameraName}
      aside={
        <span className="tag">
          <Icon name="shield" size={14} />
          {custody}
        </span>
      }
    >
      <video
        key={clip.clipId}
        className="vid"
        src={`/media/clips/${clip.clipId}/video`}
        controls
        muted
        loop
        autoPlay
        playsInline
        aria-label={`Clip of ${clip.cameraName}`}
      />
      <div className="row t12 i2 clipline">
        <span>
          {clock(clip.fromUs, timeZone)} to {clock(clip.toUs, timeZone)}
        </span>
        <code title={clip.sha256}>sha256 {short(clip.sha256)}</code>
        {incident.clips.length > 1 && (
          <span className="seg end" role="group" aria-label="Camera">
            {incident.clips.map((c, i) => (
              <button type="button" key={c.clipId} aria-pressed={c === clip} onClick={() => setChosen(i)}>
                {c.cameraName.split(' ').at(-1)}
              </button>
            ))}
          </span>
        )}
      </div>
    </Panel>
  )
}
