// What is used of nodes7, which brings no types; services/ingest/src/adapters/s7.ts guards it.

declare module 'nodes7' {
  import type { Socket } from 'node:net'

  export default class NodeS7 {
    constructor(options: { readonly silent: boolean })
    isoclient?: Socket
    initiateConnection(options: object, done: (error?: unknown) => void): void
    addItems(addresses: readonly string[]): void
    readAllItems(done: (isAnyBad: boolean, values: Readonly<Record<string, unknown>>) => void): void
    connectionCleanup(): void
    connectNow(options: object): void
    [method: string]: unknown
  }
}
