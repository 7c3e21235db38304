// Answers of requests that come again with the same bytes. Bounded in bytes; whoever was not asked for longest goes first.

import { createHash } from 'node:crypto'
import type { RunAnswer, RunRequest } from './servable.ts'

export interface ResponseCache {
  readonly bytes: number
  readonly entries: number
  get(key: string): RunAnswer | undefined
  /** Keeps a copy of its own. What is larger than the cache is not kept. */
  put(key: string, answer: RunAnswer): void
}

/** What an entry takes beside its tensors' bytes, roughly. */
const ENTRY_BYTES = 512

/** Shared by all models of a service. */
export const responseCache = ({ maxBytes }: { readonly maxBytes: number }): ResponseCache => {
  const kept = new Map<string, { readonly answer: RunAnswer; readonly bytes: number }>() // in order of use
  let total = 0
  const drop = (key: string): void => {
    total -= kept.get(key)?.bytes ?? 0
    kept.delete(key)
  }
  return {
    get bytes() {
      return total
    },
    get entries() {
      return kept.size
    },
    get(key) {
      const found = kept.get(key)
      if (found === undefined) return undefined
      kept.delete(key)
      kept.set(key, found)
      return found.answer
    },
    put(key, { outputs, provider }) {
      const bytes = outputs.reduce((sum, output) => sum + output.bytes.byteLength, ENTRY_BYTES)
      if (bytes > maxBytes) return
      drop(key)
      // A copy: the bytes are a part of a whole batch's, which would live as long as they do.
      kept.set(key, { answer: { outputs: outputs.map((output) => ({ ...output, bytes: output.bytes.slice() })), provider }, bytes })
      total += bytes
      for (const oldest of kept.keys()) {
        if (total <= maxBytes) return
        drop(oldest)
      }
    },
  }
}

/** The artefact, what it is asked for, and every byte of what it is given. */
export const cacheKeyOf = (digest: string, { inputs, outputs }: RunRequest): string => {
  const hash = createHash('sha256')
  // Lengths and shapes come before the bytes, so that no two requests read the same.
  hash.update(
    JSON.stringify([digest, outputs, inputs.map((input) => (input === undefined ? null : [input.shape, input.bytes.byteLength]))]),
  )
  for (const input of inputs) if (input !== undefined) hash.update(input.bytes)
  return hash.digest('base64')
}
