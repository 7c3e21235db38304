// What the Avro compiler and the code it makes can object to. The codec turns each into an AndonError that names its topic.

/**
 * - `schema`: a schema that is none, is over the compiler's limits, or cannot be read with the reader's.
 * - `value`: a value that does not fit the schema it is to be written with.
 * - `truncated`: the bytes end before the record does.
 * - `undecodable`: the bytes contradict the schema.
 */
export type AvroFault = 'schema' | 'value' | 'truncated' | 'undecodable'

export class AvroError extends Error {
  override readonly name = 'AvroError'
  readonly fault: AvroFault

  constructor(fault: AvroFault, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.fault = fault
  }
}
