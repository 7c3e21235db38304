// A ring as the recorder leaves it, made by ffmpeg from a small synthetic picture: 8 s in segments of 2 s, a key frame every half second.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readFragment, readInit } from '../src/mp4-fragment.ts'
import { recordedGops } from '../src/recorded-gops.ts'
import { createSegmentIndex, initName } from '../src/segment-index.ts'

export const ringStartUs = 1_750_000_000_000_000

/** `bFrames`: pictures whose order of showing is not that of decoding. */
export const smallRing = (folder: string, { bFrames = 0 } = {}) => {
  mkdirSync(folder, { recursive: true })
  const run = 'r0000000000001'
  const source = '-v error -f lavfi -i testsrc2=size=160x90:rate=10:duration=8'
  const coded = `-c:v libx264 -preset ultrafast -threads 1 -g 5 -keyint_min 5 -sc_threshold 0 -bf ${bFrames} -flags +cgop`
  const ring = `-f hls -hls_time 2 -hls_list_size 0 -hls_segment_type fmp4 -hls_fmp4_init_filename ${initName(run)} -hls_segment_filename ${run}-%06d.m4s x.m3u8`
  execFileSync('ffmpeg', `${source} ${coded} ${ring}`.split(' '), { cwd: folder })
  const clock = readInit(readFileSync(join(folder, initName(run))))!
  const index = createSegmentIndex()
  const names = readdirSync(folder)
    .filter((name) => name.endsWith('.m4s'))
    .toSorted()
  names.forEach((name, i) => {
    const bytes = readFileSync(join(folder, name))
    const fragment = readFragment(bytes, clock)!
    index.add({
      name,
      run,
      endUs: ringStartUs + (i + 1) * 2_000_000,
      durationUs: Math.round(fragment.durationS * 1e6),
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      gops: recordedGops(bytes, fragment, clock),
    })
  })
  return { index, path: (name: string) => join(folder, name), initOf: (id: string) => join(folder, initName(id)), names }
}
