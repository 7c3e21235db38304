// Runs the copying of findings from `anomalies` to their lines' partitions of `actions`.

import { runProcess } from '@andon/kit'
import type { Codec, Log, Logger, Metrics, Part, Run } from '@andon/kit'
import type { Anomalies } from '@andon/schemas'
import { onAnomalies } from './on-anomalies.ts'
import type { PlantView } from './plant-view.ts'

export const copierPart = (log: Log, codec: Codec, view: PlantView, logger: Logger, metrics: Metrics): Part => {
  let run: Run | undefined
  return {
    name: 'findings',
    async start() {
      run = await runProcess<Anomalies>(
        log,
        codec,
        { service: 'actions', group: 'actions.findings', input: 'anomalies', open: () => ({ handle: onAnomalies(view) }) },
        { logger, metrics },
      )
    },
    ended: () => run?.ended ?? Promise.resolve(),
    stop: async () => run?.stop(),
  }
}
