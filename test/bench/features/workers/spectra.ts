// Contender `spectra.ts <assets>`: the engine of features on the waveforms of P8f. One round = one waveform of every asset.

import { serveContender } from '../../../harness/bench-process.ts'
import { Engine } from '../engine.ts'
import { ELEMENTS, MACHINE, RULES, SAMPLE_RATE_HZ, WAVEFORMS, waveformBytes } from '../waveforms.ts'

const assets = Number(process.argv[2])
const waveform = { elements: ELEMENTS, sampleRateHz: SAMPLE_RATE_HZ, machine: MACHINE, rules: RULES }
const engine = new Engine({ assets, channels: 1, waveform }, WAVEFORMS, (asset, _channels, n) => waveformBytes(asset, n))
// The window of a waveform closes with the next one.
while (engine.windows < assets) engine.hop()
const check = [0, 1, assets - 1].map((asset) => [asset, [...(engine.newest[asset] ?? [])]])

await serveContender(
  { check },
  (rounds) => {
    const before = engine.windows
    for (let i = 0; i < rounds; i++) engine.hop()
    return Promise.resolve((engine.windows - before) * ELEMENTS)
  },
  () => Promise.resolve(),
)
process.exit(0)
