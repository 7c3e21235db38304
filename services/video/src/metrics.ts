// What video counts. Cameras are few, so they may be a label.

import type { Metrics } from '@andon/kit'
import type { cameraView } from './http-door.ts'

export const videoMetrics = (metrics: Metrics) => {
  const recording = metrics.gauge('andon_video_recording', '1 while the camera is recorded', ['camera'])
  const frozen = metrics.gauge('andon_video_frozen_seconds', 'For how long the picture has not changed', ['camera'])
  const ring = metrics.gauge('andon_video_ring_seconds', 'Time between the oldest and the newest segment in the ring', ['camera'])
  return {
    segments: metrics.counter('andon_video_segments_total', 'Closed segments', ['camera']),
    bytes: metrics.counter('andon_video_recorded_bytes_total', 'Bytes of closed segments', ['camera']),
    losses: metrics.counter('andon_video_losses_total', 'Ends of a recording that nobody asked for', ['camera']),
    evidence: metrics.counter('andon_video_evidence_total', 'Evidence orders by outcome', ['outcome']),
    evidenceSeconds: metrics.histogram(
      'andon_video_evidence_seconds',
      'From the end of the ordered range to the answer',
      [],
      [1, 2, 3, 5, 8, 13, 20, 30, 60],
    ),
    show(cameras: readonly ReturnType<typeof cameraView>[]): void {
      for (const { id, state, freezeS, ring: held } of cameras) {
        recording.set({ camera: id }, state === 'recording' ? 1 : 0)
        frozen.set({ camera: id }, freezeS ?? 0)
        ring.set({ camera: id }, held.from && held.to ? (Date.parse(held.to) - Date.parse(held.from)) / 1000 : 0)
      }
    },
  }
}
