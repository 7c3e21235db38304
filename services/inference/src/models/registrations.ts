// Requests for the registration of detectors and cluster models, and what became of them: versions by log order. Other models are not
// asked for in this way (`model-writer.ts`). Pure: the same facts and requests in the same order give the same answers.

import type { Models } from '@andon/schemas'

export interface Answer {
  readonly facts: readonly Models[]
}

interface Known {
  /** Digest of each version, 1 first. */
  readonly digests: string[]
  /** Digest in force by the last fact; null: none. */
  inForce: string | null
}

/** A name says what it is for, so that two classes or assets cannot take each other's versions. */
const nameOf = ({ kind, assetId, assetClass }: Models): string | undefined =>
  kind === 'detector' ? `detector.${assetId}` : kind === 'clusters' ? `modes.${assetClass}` : undefined

export class Registrations {
  private readonly models = new Map<string, Known>()
  private readonly answered = new Set<string>()

  /** Takes the records of `models` in log order. Of two registrations of one version the first holds. */
  apply(fact: Models): void {
    if (nameOf(fact) === undefined || fact.type === 'RegistrationRequested') return
    const known = this.models.get(fact.model) ?? { digests: [], inForce: null }
    this.models.set(fact.model, known)
    const isRegistered = known.digests[fact.version - 1] === fact.digest
    if (fact.type === 'ModelRegistered' && fact.version === known.digests.length + 1) known.digests.push(fact.digest)
    else if (fact.type !== 'RegistrationRefused' && !isRegistered) return // somebody else's registration came first
    if (fact.type === 'ModelActivated') known.inForce = fact.digest
    if ((fact.type === 'ModelRetired' || fact.type === 'ModelRolledBack') && known.inForce === fact.digest) known.inForce = null
    const isAnswer = fact.type === 'ModelActivated' || fact.type === 'RegistrationRefused'
    if (isAnswer && fact.requestId !== null) this.answered.add(fact.requestId)
  }

  /** Whether a request waits for an answer: one that was answered, or whose artefact is in force already, changes nothing. */
  isOpen({ type, requestId, model, digest, ...request }: Models): boolean {
    if (type !== 'RegistrationRequested' || requestId === null) return false
    if (nameOf({ type, requestId, model, digest, ...request }) === undefined) return false
    return !this.answered.has(requestId) && this.models.get(model)?.inForce !== digest
  }

  /**
   * The facts that answer an open request. A cluster model carries ids on from the one that it was fitted after (`basedOn` in its card):
   * when another holds by now it is refused, or one fault mode would have two ids.
   */
  answer(request: Models, hasArtefact: boolean): Answer {
    const known = this.models.get(request.model) ?? { digests: [], inForce: null }
    const refused = (reason: string): Answer => ({ facts: [{ ...request, type: 'RegistrationRefused', reason }] })
    const expected = nameOf(request)
    if (request.model !== expected) return refused(`a ${request.kind} of this asset or class is named ${expected}`)
    if (!hasArtefact) return refused(`the blob store has no ${request.uri}`)
    if (request.kind === 'clusters') {
      const basedOn = basedOnOf(request.card)
      if (basedOn !== known.inForce) return refused(`it was fitted after ${basedOn ?? 'no model'}, and ${known.inForce ?? 'none'} holds`)
    }
    const at = known.digests.indexOf(request.digest)
    const version = at < 0 ? known.digests.length + 1 : at + 1
    const types = at < 0 ? ['ModelRegistered', 'ModelActivated'] : ['ModelActivated']
    return { facts: types.map((type) => ({ ...request, type, version })) }
  }
}

const basedOnOf = (card: string): string | null => {
  try {
    const { basedOn } = JSON.parse(card) as { basedOn?: unknown }
    return typeof basedOn === 'string' ? basedOn : null
  } catch {
    return null
  }
}
