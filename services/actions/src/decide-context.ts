// What a decision needs beside the request and the partition's state: the plant's documents as they are now.

import type { OwnerDeps } from './owner.ts'
import { documentProblem } from './documents.ts'
import type { PlantView } from './plant-view.ts'
import { planFor } from './policy.ts'

export const decideContext =
  (view: PlantView): OwnerDeps['context'] =>
  (request, state, atUs) => ({
    atUs,
    commands: view.commands,
    plan: request?.type === 'FindingCopied' || request?.type === 'CallRequested' ? planFor(request, state, view) : null,
    plant: { placeOf: (assetId) => view.placeOf(assetId), hasClass: (classId) => view.homeOf(classId) !== undefined },
    documentProblem: (document) => documentProblem(document, view),
  })
