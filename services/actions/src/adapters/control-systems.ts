// Which control system of the plant file an order goes to.

import type { Line } from '@andon/schemas'
import { NotSent } from './executor.ts'
import type { Order } from './executor.ts'

export type ControlSystem = NonNullable<Line['controlSystem']>
export type SystemOf<K extends ControlSystem['kind']> = Extract<ControlSystem, { readonly kind: K }>

/** Control system of a line or control group; undefined when it has none. */
export type ControlSystemOf = (line: string) => ControlSystem | undefined

/** The one the order is meant for. An executor brings nothing to a line that is reached in another way. */
export const controlSystemFor = <K extends ControlSystem['kind']>(kind: K, order: Order, systemOf: ControlSystemOf): SystemOf<K> => {
  const system = systemOf(order.command.target) ?? systemOf(order.line)
  if (!system) throw new NotSent(`${order.command.target} has no control system in the plant file`)
  if (system.kind !== kind) throw new NotSent(`${order.command.target} is reached by ${system.kind}, the command goes by ${kind}`)
  return system as SystemOf<K>
}
