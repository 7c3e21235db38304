// Sealed ranges of the log: making seals, and the verifier that a stranger can run.

export { exportReadme, standaloneVerifier } from './export-files.ts'
export { elementary, packetLeaf, packetsOfMp4 } from './media.ts'
export { auditRecord, introduce, newKey, revoke, sealRange, timestampQuery } from './sealing.ts'
export type { RangeOf, SealingKey } from './sealing.ts'
export {
  canonicalJson,
  digestLine,
  fieldDigests,
  filesIn,
  leafOf,
  merkleRoot,
  recordLine,
  SEAL_TYPE,
  sealDigest,
  sealLine,
  verdictText,
  verifyExport,
} from './verifier.ts'
export type { AuditRecord, Files, KeyStatement, Manifest, Problem, RangeSeal, SignedSeal, VerifyOptions, Verdict } from './verifier.ts'
