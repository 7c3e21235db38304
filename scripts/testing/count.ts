// How many tests ran, and how they ended.

export interface Count {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** What failed and where, in the order it did. */
  readonly failures: readonly string[]
}

export const noTests: Count = { passed: 0, failed: 0, skipped: 0, failures: [] }

export const sum = (counts: readonly Count[]): Count =>
  counts.reduce(
    (total, count) => ({
      passed: total.passed + count.passed,
      failed: total.failed + count.failed,
      skipped: total.skipped + count.skipped,
      failures: [...total.failures, ...count.failures],
    }),
    noTests,
  )
