// What the decoders of the HTTP door have in common: what they give, and how much they take.

import type { ColumnsDelivery, Device, ReadingsDelivery } from './source.ts'

/** What a body holds: readings, or columns. */
export type Content = (Pick<ReadingsDelivery, 'readings' | 'bytes'> | Pick<ColumnsDelivery, 'columns' | 'bytes'>) & {
  /** Place in the body of the n-th row; undefined where rows are in the order of the body. */
  readonly indexOf?: (row: number) => number
}

/** Gives the content of a body, or throws an AndonError with status 400 or 413 when none of it can be taken. */
export type DecodeBody = (body: Buffer, sender: { readonly device: Device | undefined }) => Content

/** Readings in one request. More are a file, and belong into an upload. */
export const maxReadings = 10_000
/** Values in one request, so that a body cannot become many times its size in memory. */
export const maxValues = 200_000
/** Nesting of a JSON body; a reading needs four. */
export const maxDepth = 20
