// What no honest record or schema reaches, and what keeps a hostile one from costing time or memory.

/** Nesting of recursive records, the same for writing and reading. */
export const maxRecursion = 200

/** Records and items that take no bytes at all (arrays of null), in one value; the others are bounded by its bytes. */
export const maxEmptyValues = 65_536
