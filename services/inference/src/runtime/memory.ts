// Memory of models that is given back at once. Left to the collectors of several threads, a hundred loads hold a hundred files.

/** Frees bytes that have their memory to themselves; whoever still used them would fail, and not read something else. */
export const release = (bytes: Uint8Array): void => {
  const { buffer, byteLength } = bytes
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0)
}

/** A copy with its memory to itself. */
export const ownCopy = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => {
  const copy = new Uint8Array(bytes.byteLength)
  copy.set(bytes)
  return copy
}
