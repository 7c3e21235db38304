// What tests of the doors that read streams share: a source of files that tests change, and a mapping of readings as the suite writes them.

import { createLogger, createMetrics } from '@andon/kit'
import { parseSource } from '@andon/schemas'
import type { PlantSource } from '@andon/schemas'
import type { Assignment, SourceFiles } from '../src/doors.ts'

export const logger = createLogger({ service: 'ingest', level: 'silent' })
export const metrics = () => createMetrics('ingest')

/** Reads what test/source-conformance.ts sends, numbers and all. */
export const conformanceMapping = {
  format: 'json',
  asset: { field: 'asset' },
  source: { field: 'source' },
  time: { field: 'timeUs', format: 'us' },
  epoch: { field: 'epoch' },
  seq: { field: 'seq' },
  channels: { temperatureC: { field: 'values.temperatureC' } },
}

/** One value per message, without a number: what is known of a repeat is what the door knows. */
export const plainMapping = {
  format: 'json',
  asset: { id: 'oven' },
  source: { field: 'machine' },
  channels: { temperatureC: { field: 't' } },
}

export const source = (file: object): PlantSource => parseSource({ version: 1, ...file })

/** Source files as the test sets them. */
export class TestSources implements SourceFiles {
  readonly #listeners = new Set<() => void>()
  #files: readonly PlantSource[]

  constructor(...files: readonly PlantSource[]) {
    this.#files = files
  }

  of: SourceFiles['of'] = (kind) => this.#files.filter((file) => file.kind === kind) as never

  onChange: SourceFiles['onChange'] = (listener) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  set(...files: readonly PlantSource[]): void {
    this.#files = files
    for (const listener of this.#listeners) listener()
  }
}

/** Everything is this instance's, until the test says otherwise. */
export class TestAssignment implements Assignment {
  readonly #listeners = new Set<() => void>()
  #isMine = true

  isMine: Assignment['isMine'] = () => this.#isMine

  onChange: Assignment['onChange'] = (listener) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  give(isMine: boolean): void {
    this.#isMine = isMine
    for (const listener of this.#listeners) listener()
  }
}
