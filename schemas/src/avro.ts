// Avro schemas as plain data: the part of the specification that Andon's schemas and the compatibility check use.

export type AvroSchema = string | AvroSchema[] | AvroRecord | AvroEnum | AvroArray | AvroMap | AvroFixed | AvroPrimitive

export interface AvroField {
  name: string
  type: AvroSchema
  doc?: string
  default?: unknown
  aliases?: string[]
}

interface Named {
  name: string
  namespace?: string
  aliases?: string[]
  doc?: string
}

export interface AvroRecord extends Named {
  type: 'record' | 'error'
  fields: AvroField[]
}

export interface AvroEnum extends Named {
  type: 'enum'
  symbols: string[]
  default?: string
}

export interface AvroFixed extends Named {
  type: 'fixed'
  size: number
  logicalType?: string
}

export interface AvroArray {
  type: 'array'
  items: AvroSchema
}

export interface AvroMap {
  type: 'map'
  values: AvroSchema
}

/** A primitive written as an object, mostly to carry a logical type; also a nested schema in a `type` attribute. */
export interface AvroPrimitive {
  type: 'null' | 'boolean' | 'int' | 'long' | 'float' | 'double' | 'bytes' | 'string'
  logicalType?: string
}
