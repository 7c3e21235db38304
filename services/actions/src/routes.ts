// What every group of routes of the door works with.

import type { Request, Response } from 'express'
import type { Principal, Principals } from '@andon/kit'
import type { Actions } from '@andon/schemas'
import type { z } from 'zod'
import type { Board } from './board.ts'
import type { PlantView } from './plant-view.ts'

export interface Routes {
  readonly board: Board
  readonly plant: PlantView
  readonly principals: Principals
  readonly nowUs: () => number
  /** Throws 400 ANDON_ACTIONS_BAD_REQUEST with the offending path. */
  readonly parse: <T extends z.ZodType>(shape: T, body: unknown) => z.output<T>
  readonly principalOf: (request: Request) => Principal
  /** Logical id of the request: a repeat with the same Idempotency-Key has the same one. */
  readonly idOf: (request: Request) => string
  readonly param: (request: Request, name: string) => string
  /** Appends and answers with the owner's fact. */
  readonly answer: (response: Response, request: Actions) => Promise<void>
}
