// The live playlist of a camera, from the index: what hls.js and every phone can play. A new recorder start is a discontinuity.

import { initName, type Segment } from './segment-index.ts'

/** Segments in the live window. */
const liveSegments = 8

/** HLS media playlist of the newest segments. */
export const livePlaylist = (segments: readonly Segment[], prefix: string): string => {
  const window = segments.slice(-liveSegments)
  const longestS = Math.max(2, ...window.map((segment) => (segment.endUs - segment.startUs) / 1e6))
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:7',
    `#EXT-X-TARGETDURATION:${Math.ceil(longestS)}`,
    `#EXT-X-MEDIA-SEQUENCE:${window[0]?.n ?? 0}`,
    '#EXT-X-INDEPENDENT-SEGMENTS',
  ]
  let run = ''
  for (const segment of window) {
    if (segment.run !== run) {
      if (run !== '') lines.push('#EXT-X-DISCONTINUITY')
      lines.push(`#EXT-X-MAP:URI="${prefix}${initName(segment.run)}"`)
      run = segment.run
    }
    lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(segment.startUs / 1000).toISOString()}`)
    lines.push(`#EXTINF:${((segment.endUs - segment.startUs) / 1e6).toFixed(6)},`, `${prefix}${segment.name}`)
  }
  return `${lines.join('\n')}\n`
}
