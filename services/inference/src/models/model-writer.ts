// Registering and activating a model: facts on `models`. Repeating it changes nothing, also from two instances at once: versions
// are settled by log order, and the same artefact is never registered twice.

import { AndonError, publish, uuid8 } from '@andon/kit'
import type { Blobs, Codec, Log, Output } from '@andon/kit'
import type { Models } from '@andon/schemas'
import type { ModelRegistry } from './model-registry.ts'

export interface ModelDraft {
  readonly model: string
  readonly assetId: string
  readonly featureSet: string
  readonly featureSetDigest: string
  readonly artefact: Uint8Array
  readonly features: readonly string[]
  readonly card: unknown
  /** Event time from which the activation holds, microseconds UTC. */
  readonly effectiveFromUs: number
  readonly by: string
}

export interface ModelWriter {
  /** Resolves when the activation is on the log and in the registry. */
  activate(draft: ModelDraft): Promise<Models>
  /** Resolves when the version is on the log and in the registry, in no role: nothing is scored with it until it is activated. */
  register(draft: ModelDraft): Promise<Models>
}

export interface ModelWriterDeps {
  readonly log: Log
  readonly codec: Codec
  readonly blobs: Blobs
  readonly registry: ModelRegistry
  /** Resolves once the registry has taken everything that is on `models` now. */
  readonly caughtUp: () => Promise<void>
  readonly nowUs: () => number
}

const MOST_TURNS = 5

/** Name of the commissioning model of an asset. */
export const commissioningModel = (assetId: string): string => `t2spe.${assetId}`

export const modelWriter = ({ log, codec, blobs, registry, caughtUp, nowUs }: ModelWriterDeps): ModelWriter => {
  const write = async (draft: ModelDraft, toActivate: boolean): Promise<Models> => {
    const { artefact, card, ...rest } = draft
    const { sha256, uri } = await blobs.put(artefact) // the artefact is there before anybody reads of it
    for (let turn = 0; turn < MOST_TURNS; turn++) {
      await caughtUp()
      const known = registry.versions(draft.model)
      const same = known.find(({ digest, featureSetDigest }) => digest === sha256 && featureSetDigest === draft.featureSetDigest)
      if (same !== undefined && (!toActivate || registry.isActivated(same.model, same.version))) return same
      const fact: Models = {
        ...(same ?? {
          ...rest,
          type: '',
          version: 1 + Math.max(0, ...known.map(({ version }) => version)),
          kind: 'onnx',
          digest: sha256,
          uri,
          card: JSON.stringify(card),
        }),
        role: 'advisory',
        features: [...draft.features],
        effectiveFromUs: draft.effectiveFromUs,
        by: draft.by,
        atUs: nowUs(),
        assetClass: '',
        requestId: null,
        reason: '',
      }
      const types = [...(same === undefined ? ['ModelRegistered'] : []), ...(toActivate ? ['ModelActivated'] : [])]
      await publish(
        log,
        codec,
        types.map((type) => factOutput({ ...fact, type })),
        'inference',
      )
      // If another instance took the version first, the next turn takes the one after it.
    }
    throw new AndonError(
      'ANDON_INFERENCE_REGISTRATION_FAILED',
      `Model ${draft.model} does not appear on models after ${MOST_TURNS} attempts`,
      { retriable: true },
    )
  }
  return { activate: (draft) => write(draft, true), register: (draft) => write(draft, false) }
}

const factOutput = (fact: Models): Output<Models> => ({
  topic: 'models',
  key: fact.model,
  value: fact,
  id: uuid8('model-fact', fact.type, fact.model, fact.version, fact.digest, fact.effectiveFromUs),
  type: fact.type,
  subject: fact.assetId,
  timeUs: fact.atUs,
})
