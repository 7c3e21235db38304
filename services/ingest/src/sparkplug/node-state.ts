// What a host knows of one edge node between its birth and its death: metrics, aliases, devices, and the numbers its readings get.
// Pure; edge-node.ts decides when it begins and ends.

import type { Metric, Payload } from './payload.ts'

export interface Definition {
  readonly name: string
  readonly type: number
}

/** The edge node itself (name undefined) or a device below it. */
export interface Part {
  readonly device: string | undefined
  readonly metrics: ReadonlyMap<string, Definition>
  isAlive: boolean
}

interface Aliased {
  readonly part: Part
  readonly definition: Definition
}

export const bdSeqMetric = 'bdSeq'
const maxDevices = 10_000

/** Number of a birth-death pair, 0 to 255; undefined when the payload has none. */
export const bdSeqOf = (payload: Payload): number | undefined => {
  const value = payload.metrics.find(({ name }) => name === bdSeqMetric)?.value
  const number = typeof value === 'bigint' || typeof value === 'number' ? Number(value) : undefined
  return number !== undefined && Number.isInteger(number) && number <= 255 ? number : undefined
}

export class NodeState {
  readonly bdSeq: number
  /** Time of the birth. */
  readonly bornMs: number
  /** Of everything since this birth; one more after each gap, since numbers may have been skipped there. */
  epoch: number
  /** seq of the next message, 0 to 255. */
  nextSeq = 1
  readonly #parts = new Map<string | undefined, Part>()
  readonly #aliases = new Map<number | string, Aliased>()
  readonly #numbers = new Map<string, number>()

  constructor(bdSeq: number, epoch: number, bornMs: number) {
    this.bdSeq = bdSeq
    this.epoch = epoch
    this.bornMs = bornMs
  }

  /** Begins a part with the metrics of its birth, or says what is wrong with them; nothing has changed then. */
  begin(device: string | undefined, metrics: readonly Metric[]): Part | string {
    const before = this.#parts.get(device)
    if (before === undefined && this.#parts.size > maxDevices) return `found more than ${maxDevices} devices`
    const definitions = new Map<string, Definition>()
    const aliases = new Map<number | string, Definition>()
    for (const { name, alias, type } of metrics) {
      if (name === undefined || name === '') return 'found a metric without a name, expected one in every metric of a birth'
      if (name === bdSeqMetric) continue
      if (type === undefined) return `${name}: found no datatype, expected one in every metric of a birth`
      if (definitions.has(name)) return `${name}: found twice in one birth`
      const definition = { name, type }
      definitions.set(name, definition)
      if (alias === undefined) continue
      const other = aliases.get(alias)?.name ?? this.#aliasOfOther(alias, before)
      if (other !== undefined) return `${name}: found alias ${alias}, which ${other} has; expected one of its own within the edge node`
      aliases.set(alias, definition)
    }
    for (const [alias, { part }] of this.#aliases) if (part === before) this.#aliases.delete(alias)
    const part: Part = { device, metrics: definitions, isAlive: true }
    this.#parts.set(device, part)
    for (const [alias, definition] of aliases) this.#aliases.set(alias, { part, definition })
    return part
  }

  part(device: string | undefined): Part | undefined {
    return this.#parts.get(device)
  }

  alive(): Part[] {
    return [...this.#parts.values()].filter(({ isAlive }) => isAlive)
  }

  /** The definition of a metric of a data message: by alias, else by name. */
  definitionOf(part: Part, metric: Metric): Definition | undefined {
    if (metric.alias !== undefined) {
      const aliased = this.#aliases.get(metric.alias)
      if (aliased?.part === part) return aliased.definition
    }
    return metric.name === undefined ? undefined : part.metrics.get(metric.name)
  }

  /** The next number of a source in this epoch; the first is 1. */
  number(source: string): number {
    const number = this.#numbers.get(source) ?? 1
    this.#numbers.set(source, number + 1)
    return number
  }

  /** Numbers begin anew: messages are missing, and how many readings they had nobody knows. */
  skip(): void {
    this.epoch++
    this.#numbers.clear()
  }

  #aliasOfOther(alias: number | string, part: Part | undefined): string | undefined {
    const known = this.#aliases.get(alias)
    return known === undefined || known.part === part ? undefined : known.definition.name
  }
}
