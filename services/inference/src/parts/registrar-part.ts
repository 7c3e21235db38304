// Answers requests for registration on `models`, beside the event path and in a group of its own.

import { runProcess } from '@andon/kit'
import type { Part, Run } from '@andon/kit'
import type { Models } from '@andon/schemas'
import { REGISTRAR_GROUP, onRegistrationRequests } from '../on-registration-requests.ts'
import type { Surroundings } from './opened.ts'

export const registrarPart = ({ opened, logger, metrics }: Surroundings): Part => {
  let run: Run | undefined
  const answered = metrics.counter('andon_inference_registrations_total', 'Requests for registration answered, by outcome', ['outcome'])
  return {
    name: 'registrar',
    start: async () => {
      const [log, codec] = [opened.log!, opened.codec!]
      const { registrations, settled, hasArtefact } = opened.models!
      const count = (outcome: string): void => answered.inc({ outcome })
      const open = () => ({ handle: onRegistrationRequests({ registrations, settled, hasArtefact, count }) })
      run = await runProcess<Models>(
        log,
        codec,
        { service: 'inference', group: REGISTRAR_GROUP, input: 'models', open, maxBatchRecords: 1 },
        { logger, metrics },
      )
    },
    ended: () => run?.ended ?? Promise.resolve(),
    stop: async () => {
      await run?.stop()
    },
  }
}
