// Requests that more than one door appends to `actions`.

import type { Actions } from '@andon/schemas'
import { record } from './facts.ts'

/** Who asks: a person's or a button's id, and the roles it has. */
export interface Caller {
  readonly id: string
  readonly roles: readonly string[]
}

/**
 * A human call for help, by the cord, the console or a button. A repeat of the id is the same call.
 * @param line key of `actions`: the control group of the asset, or of the line itself.
 */
export const callRequest = (id: string, line: string, assetId: string | null, title: string, by: Caller, atUs: number): Actions =>
  record('CallRequested', id, line, atUs, { by: by.id, roles: [...by.roles], assetId, title })
