// Waits for a state, not for a time.

import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'

const deadlineMs = 60_000

/** Resolves once it is true; fails the test with what it waited for when it is not within a minute. */
export const until = async (isTrue: () => boolean | Promise<boolean>, what = 'it'): Promise<void> => {
  const deadline = Date.now() + deadlineMs
  while (!(await isTrue())) {
    assert.ok(Date.now() < deadline, `not within ${deadlineMs / 1000} s: ${what}`)
    await pause(10)
  }
}
