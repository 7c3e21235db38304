// What the processing loop needs of a codec: values of a topic to bytes and back. codec.ts implements it with Avro and
// the schema registry.

export interface Codec {
  /** The value in the topic's newest registered schema, framed (0x00, schema id, Avro). */
  encode(topic: string, value: unknown): Buffer
  /** The value, read with this build's schema. Throws on bytes that are no framed record of the topic. */
  decode<T>(topic: string, bytes: Buffer): T
  /** As decode; fetches a writer schema that is not known yet. */
  decodeAsync<T>(topic: string, bytes: Buffer): Promise<T>
}
