// What the processing loop needs of a codec: values of a topic to bytes and back. codec.ts implements it with Avro and
// the schema registry.

export interface Codec {
  /** The value in the topic's newest registered schema, framed (0x00, schema id, Avro). */
  encode(topic: string, value: unknown): Buffer
  /**
   * As encode, into memory of the caller's: the frame starts at `at`, the position after it is returned; when the slab is
   * too small, minus the number of bytes that are missing, and the slab's bytes from `at` on are anything.
   */
  encodeInto(topic: string, value: unknown, slab: Buffer, at: number): number
  /** The value, read with this build's schema; it owns its bytes. Throws on bytes that are no framed record of the topic. */
  decode<T>(topic: string, bytes: Buffer): T
  /** As decode, of source[from, to); bytes in the value are views of the source, and it may be given no longer than that stays as it is. */
  decodeLent?<T>(topic: string, source: Buffer, from: number, to: number): T
  /** As decode; fetches a writer schema that is not known yet. */
  decodeAsync<T>(topic: string, bytes: Buffer): Promise<T>
}
