// The decision kernel: state and request in, facts out. Pure; the owner of a partition supplies time and storage.

export * from './types.ts'
export * from './facts.ts'
export * from './fold.ts'
export { hasEnded, isExecutable, isHeld, MAX_ATTEMPTS } from './fold-steps.ts'
export { decide } from './decide.ts'
export { CALL_REVIEW_US } from './incidents.ts'
export { DECIDING_ROLES } from './approvals.ts'
export { MAX_EVIDENCE_US } from './evidence.ts'
export { carriedHolds } from './holds.ts'
export { approvalsNeeded, doubtsOf } from './planning.ts'
export { dueFacts, nextDueUs } from './timers.ts'
export * from './execution.ts'
