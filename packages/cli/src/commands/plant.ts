// andon plant: checks a folder of plant documents, or sends it to the actions door.

import { readPlantFolder } from '@andon/schemas'
import { type Context, tokenOf } from '../context.ts'
import { print, table } from '../output.ts'
import { publishPlant } from '../up/documents.ts'
import type { AsOptions } from './actions.ts'

const rows = (documents: readonly { name: string; kind: string; file: string }[]): string =>
  table([['DOCUMENT', 'KIND', 'FILE'], ...documents.map(({ name, kind, file }) => [name, kind, file])])

export const checkPlant = (context: Context, folder: string, options: { json?: boolean }): void => {
  const documents = readPlantFolder(folder, { portOffset: context.portOffset })
  print(options.json === true, { ok: true, documents: documents.map(({ name, kind, file }) => ({ name, kind, file })) }, () =>
    rows(documents),
  )
}

export const applyPlant = async (context: Context, folder: string, options: AsOptions): Promise<void> => {
  const documents = await publishPlant({
    folder,
    actionsUrl: context.doors.actions,
    token: tokenOf(context, options.as),
    portOffset: context.portOffset,
  })
  print(options.json === true, { applied: documents.map(({ name }) => name) }, () => rows(documents))
}
