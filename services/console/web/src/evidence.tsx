// The clip that shows why: one camera at a time, its custody, what was asked for and what was stored.
import { type ReactNode, useState } from 'react'
import type { IncidentView } from '../../src/view.ts'
import { bytes, clock } from './format.ts'
import { Icon, OriginTag, Panel } from './parts.tsx'

const whyNone = (incident: IncidentView): string => {
  if (incident.evidenceFailure !== null) return `No clip could be stored: ${incident.evidenceFailure}`
  if (incident.evidencePending) return 'Ordered. The clip is stored a few seconds after its last picture.'
  if (incident.kind === 'call') return 'A person raised this: no camera was ordered.'
  return 'The plan of this finding orders no pictures.'
}

export const Evidence = ({ incident, timeZone }: { incident: IncidentView; timeZone: string }): ReactNode => {
  const [chosen, setChosen] = useState(0)
  const clip = incident.clips[Math.min(chosen, incident.clips.length - 1)]
  if (!clip)
    return (
      <Panel title="Evidence" note="video">
        <div className="noclip">
          <Icon name="video" />
          <p className="i2 t12">{whyNone(incident)}</p>
        </div>
      </Panel>
    )
  const gaps = clip.gaps.length
  return (
    <Panel title={clip.cameraName} note={<OriginTag origin={clip.origin} noun={clip.origin === 'simulated' ? 'scene' : ''} />}>
      <video
        key={clip.clipId}
        className="vid"
        src={`/media/clips/${clip.clipId}/video`}
        controls
        muted
        loop
        autoPlay
        playsInline
        aria-label={`Clip of ${clip.cameraName}, ${clock(clip.fromUs, timeZone)} to ${clock(clip.toUs, timeZone)}, no sound`}
      />
      <div className="row t12 i2 clipline">
        <span className="grow">
          <span className="nw num" title={`Asked for ${clock(clip.askedFromUs, timeZone)} to ${clock(clip.askedToUs, timeZone)}`}>
            {clock(clip.fromUs, timeZone)} to {clock(clip.toUs, timeZone)}
          </span>
          <span className="tag" title={`SHA-256 of clip ${clip.sha256}, of manifest ${clip.manifestSha256}, ${bytes(clip.bytes)}`}>
            <Icon name="shield" size={13} />
            {gaps === 0 ? 'Digest on the log' : `Digest on the log, ${gaps === 1 ? 'a gap' : `${gaps} gaps`}`}
          </span>
        </span>
        {incident.clips.length > 1 && (
          <span className="seg" role="group" aria-label="Camera">
            {incident.clips.map((one, i) => (
              <button type="button" key={one.clipId} aria-pressed={one === clip} onClick={() => setChosen(i)}>
                {one.cameraName.split(' ').at(-1)}
              </button>
            ))}
          </span>
        )}
      </div>
    </Panel>
  )
}
