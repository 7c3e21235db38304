// CWRU: windows of bearings with seeded faults, through the clustering and the member-distance rule of the product. Whether the faults
// are found as clusters without a setting; whether windows of a load that was not learned join their fault, and whether a fault of a kind
// and size that was not learned is novel.

import { adjustedRand } from '@andon/clustering/density/agreement'
import { hdbscan } from '@andon/clustering/density/hdbscan'
import { rowOf, rowsAt } from '@andon/clustering/matrix'
import type { Matrix } from '@andon/clustering/matrix'
import { fitModes, openAssigner } from '@andon/clustering/modes/members'
import { BEARING_FEATURES, bearingWindows, standardised } from './bearing-windows.ts'
import type { QualityResult, QualitySet } from './line.ts'

/** How loud a fault is says how severe it is, not which it is. */
const withoutLevel = ({ values, rows, width }: Matrix): Matrix => {
  const level = BEARING_FEATURES.indexOf('logRms')
  return { values: values.filter((_, i) => i % width !== level), rows, width: width - 1 }
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

export const cwru: QualitySet = {
  name: 'cwru',
  title: 'bearings with seeded faults: clusters, a load and a fault that were not learned',
  run: ({ data, note }): QualityResult => {
    const { features, faults, speedsRpm } = bearingWindows(data)
    const names = [...new Set(faults)]
    const labelOf = faults.map((fault) => names.indexOf(fault))
    const { labels } = hdbscan(standardised(features))
    const clusters = new Set(labels)
    clusters.delete(-1)

    const vectors = withoutLevel(features)
    /** What the rule says of some windows after learning the others. */
    const assigned = (isLearned: (window: number) => boolean): Map<number, string | undefined> => {
      const windows = faults.map((_, window) => window)
      const learned = windows.filter(isLearned)
      const assign = openAssigner(
        fitModes(
          rowsAt(vectors, learned),
          learned.map((window) => labelOf[window] as number),
          names,
        ),
      )
      return new Map(
        windows.filter((window) => !isLearned(window)).map((window) => [window, assign(rowOf(vectors, window).slice()).modeId] as const),
      )
    }
    const joined: Record<string, number> = {}
    const wrong: number[] = []
    const novel: Record<string, number> = {}
    for (const fault of names.filter((name) => name !== 'Normal')) {
      const speeds = [...new Set(speedsRpm.filter((_, window) => faults[window] === fault))]
      for (const speed of speeds.length > 1 ? speeds : []) {
        const said = [...assigned((window) => faults[window] !== fault || speedsRpm[window] !== speed).values()]
        joined[`${fault} at ${speed} rpm`] = said.filter((mode) => mode === fault).length / said.length
        wrong.push(said.filter((mode) => mode !== undefined && mode !== fault).length / said.length)
      }
      const said = [...assigned((window) => faults[window] !== fault).values()]
      novel[fault] = said.filter((mode) => mode === undefined).length / said.length
    }
    for (const [what, share] of Object.entries(joined)) note(`${what}: ${(100 * share).toFixed(0)} % join`)
    for (const [what, share] of Object.entries(novel)) note(`${what}, not learned: ${(100 * share).toFixed(0)} % novel`)
    const [shares, novelties] = [Object.values(joined), Object.values(novel)]
    return {
      figures: [
        { name: 'ARI', value: adjustedRand(labelOf, labels), atLeast: 0.98 },
        { name: 'noise', value: labels.filter((label) => label < 0).length / labels.length, atMost: 0.05 },
        { name: 'clusters', value: clusters.size, digits: 0 },
        { name: 'unseenLoad.joined', value: mean(shares), atLeast: 0.88 },
        { name: 'unseenLoad.worst', value: Math.min(...shares) },
        { name: 'unseenLoad.wrong', value: mean(wrong) },
        { name: 'unseenFault.novel', value: mean(novelties), atLeast: 0.98 },
        { name: 'unseenFault.worst', value: Math.min(...novelties) },
      ],
      detail: { windows: faults.length, faults: names.length },
    }
  },
}
