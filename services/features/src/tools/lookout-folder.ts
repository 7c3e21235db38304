// placeholder
import type { Table } from './table.ts'
export const openLookout = (_: { readonly file: string }): Promise<Table> | undefined => undefined
