// Source text in the making: constants, unique names, size. Whatever a schema brings gets into the text as a JSON string
// or not at all; everything else is handed over as a constant.

import { AvroError } from './errors.ts'

const maxCharacters = 8 * 1024 * 1024

export class Source {
  private readonly constants: Map<string, unknown>
  private readonly functions: string[] = []
  private characters = 0
  private names = 0

  /** `runtime`: what the text may call, by the name it has there. */
  constructor(runtime: Readonly<Record<string, unknown>>) {
    this.constants = new Map(Object.entries(runtime))
  }

  /** A name nothing else has. */
  fresh(prefix: string): string {
    this.names += 1
    return `${prefix}${this.names}`
  }

  /** Name under which the text finds a value. */
  constant(value: unknown): string {
    const name = this.fresh('k')
    this.constants.set(name, value)
    return name
  }

  add(text: string): void {
    this.characters += text.length
    if (this.characters > maxCharacters) throw new AvroError('schema', 'The schema would make too much code')
    this.functions.push(text)
  }

  /** Runs the text once; gives the value of `entry`, an expression over its functions. */
  build(entry: string): unknown {
    const text = `'use strict'\n${this.functions.join('\n')}\nreturn ${entry}`
    // oxlint-disable-next-line typescript/no-implied-eval -- the text is ours, see above
    return (new Function(...this.constants.keys(), text) as (...constants: unknown[]) => unknown)(...this.constants.values())
  }
}

/**
 * Runs a compilation. What the limits let through and the stack or the JavaScript compiler does not - chains of thousands
 * of types - ends as an AvroError (`schema`), too.
 */
export const compiling = <T>(compile: () => T): T => {
  try {
    return compile()
  } catch (error) {
    if (error instanceof RangeError || error instanceof SyntaxError) throw new AvroError('schema', 'The schema cannot be compiled', error)
    throw error
  }
}

/** A string as a literal, e.g. a field's name. */
export const quoted = (text: string): string => JSON.stringify(text)
