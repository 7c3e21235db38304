// Publishes the documents of a plant folder through the actions door, which validates them and puts them on `config`.

import { setTimeout as sleep } from 'node:timers/promises'
import { canonicalJson } from '@andon/kit/ids'
import { type PlantDocument, readPlantFolder } from '@andon/schemas'
import { CommandError } from '../context.ts'
import { callDoor } from '../door.ts'
import { EXIT } from '../exit.ts'

/** Sends all documents of the folder; waits for a door that is still starting. Gives what was sent. */
export const publishPlant = async (options: {
  readonly folder: string
  readonly actionsUrl: string
  readonly token: string
  readonly portOffset: number
  readonly patienceMs?: number
}): Promise<PlantDocument[]> => {
  const documents = readPlantFolder(options.folder, { portOffset: options.portOffset })
  const body = { documents: documents.map(({ name, kind, value }) => ({ name, kind, body: canonicalJson(value) })) }
  const deadline = Date.now() + (options.patienceMs ?? 0)
  for (;;) {
    try {
      await callDoor('POST', `${options.actionsUrl}/v1/config`, { token: options.token, body })
      return documents
    } catch (error) {
      const isStarting =
        error instanceof CommandError && (error.exitCode === EXIT.notRunning || /^ANDON_NOT_READY|^HTTP 503/.test(error.message))
      if (!isStarting || Date.now() > deadline) throw error
      await sleep(250)
    }
  }
}
