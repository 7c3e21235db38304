// models → models: answers what clustering asks for, registration and activation or a refusal, in the order of the log. One instance
// does, the owner of the topic's partition. A repeated request changes nothing, and an answer carries the request's own time, so that two
// owners for a moment say the same twice.

import { emitter, uuid8 } from '@andon/kit'
import type { Handler } from '@andon/kit'
import type { Models } from '@andon/schemas'
import type { Registrations } from './models/registrations.ts'

export const REGISTRAR_GROUP = 'inference.registrar'

export interface RegistrationDeps {
  readonly registrations: Registrations
  /** Resolves when every fact that is on `models` by now has been read. */
  readonly settled: () => Promise<void>
  readonly hasArtefact: (uri: string) => Promise<boolean>
  readonly count: (outcome: 'activated' | 'refused') => void
}

/** Takes one record at a time: the answer to a request is on the log before the next is looked at. */
export const onRegistrationRequests =
  ({ registrations, settled, hasArtefact, count }: RegistrationDeps): Handler<Models> =>
  async (batch) => {
    const out = emitter()
    for (const input of batch.inputs) {
      const request = input.value
      if (request.type !== 'RegistrationRequested') continue
      await settled()
      if (!registrations.isOpen(request)) continue
      const { facts } = registrations.answer(request, await hasArtefact(request.uri).catch(() => false))
      for (const fact of facts) {
        const id = uuid8('registration-answer', fact.type, fact.model, fact.version, request.requestId ?? request.digest)
        const subject = fact.assetId === '' ? fact.assetClass : fact.assetId
        out.emit(input, { topic: 'models', key: fact.model, value: fact, id, type: fact.type, subject, timeUs: fact.atUs })
      }
      count(facts.some(({ type }) => type === 'ModelActivated') ? 'activated' : 'refused')
    }
    return out
  }
