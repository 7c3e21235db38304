// Doors answer a list as `{ <name>: [...] }` (with room for a cursor) or as the bare list.

/** The items of an answer; empty when it holds none. */
export const listOf = (body: unknown, name: string): Record<string, unknown>[] => {
  const found = Array.isArray(body) ? body : typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[name] : undefined
  return Array.isArray(found) ? (found as Record<string, unknown>[]) : []
}

/** A property as text, or a dash. */
export const textOf = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '-'
