// What a decision needs beside the request and the partition's state: the plant's documents as they are now.

import type { OwnerDeps } from './owner.ts'
import { documentProblem } from './documents.ts'
import type { PlantView } from './plant-view.ts'
import { judge } from './policy.ts'
import type { GateDecision } from './policy.ts'

/** `onJudged` hears of every finding that the policies judged; a finding that is judged again is told again. */
export const decideContext =
  (view: PlantView, onJudged?: (decision: GateDecision) => void): OwnerDeps['context'] =>
  (request, state, atUs) => ({
    atUs,
    commands: view.commands,
    plan: request?.type === 'FindingCopied' || request?.type === 'CallRequested' ? judge(request, state, view, atUs, onJudged) : null,
    plant: { placeOf: (assetId) => view.placeOf(assetId), hasClass: (classId) => view.homeOf(classId) !== undefined },
    parentOf: (assetId) => view.parentOf(assetId),
    documentProblem: (document) => documentProblem(document, view),
  })
