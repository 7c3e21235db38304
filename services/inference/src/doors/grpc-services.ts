// Services written for grpc-js' server (health, reflection) as methods of this door's: the little of its interface that they use.

import { EventEmitter } from 'node:events'
import type { Server } from '@grpc/grpc-js'
import type { status } from '@grpc/grpc-js'
import { GrpcError } from './grpc-server.ts'
import type { StreamMethod, UnaryMethod } from './grpc-server.ts'

/** What `addToServer` is given. */
export type ServiceHost = Pick<Server, 'addService'>

interface Refused {
  readonly code: status
  readonly details: string
}
type Unary = (call: { readonly request: unknown }, callback: (error: Refused | null, response: unknown) => void) => void

export const serviceHost = (unary: Map<string, UnaryMethod>, streams: Map<string, StreamMethod>): ServiceHost => ({
  addService(definition, implementation) {
    for (const [name, method] of Object.entries(definition)) {
      const handler: unknown = implementation[name] ?? (method.originalName === undefined ? undefined : implementation[method.originalName])
      if (typeof handler !== 'function') continue
      if (method.requestStream || method.responseStream) {
        streams.set(method.path, (_call, peer) => {
          const call = new StreamCall(
            (response) => peer.write(method.responseSerialize(response)),
            () => peer.end(),
          )
          const isBidirectional = method.requestStream
          if (isBidirectional) handler.call(implementation, call)
          return {
            message(bytes) {
              const request: unknown = method.requestDeserialize(bytes)
              if (isBidirectional) call.emit('data', request)
              else {
                call.request = request
                handler.call(implementation, call)
              }
            },
            end: () => void (isBidirectional && call.emit('end')),
            cancelled: () => void call.emit('cancelled'),
            drained() {},
          }
        })
      } else {
        unary.set(
          method.path,
          (bytes) =>
            new Promise((resolve, reject) => {
              const answer = handler as Unary
              answer.call(implementation, { request: method.requestDeserialize(bytes) }, (error, response) =>
                error === null ? resolve(method.responseSerialize(response)) : reject(new GrpcError(error.code, error.details)),
              )
            }),
        )
      }
    }
  },
})

class StreamCall extends EventEmitter {
  request: unknown
  readonly write: (response: unknown) => void
  readonly end: () => void
  constructor(write: (response: unknown) => void, end: () => void) {
    super()
    this.write = write
    this.end = end
  }
}
