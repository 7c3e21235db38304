// `POST /v1/telemetry?mapping=<id>`: a CSV body as the source file `sources/<id>` of kind file maps it, for exports that we do not define.

import { AndonError } from '@andon/kit'
import type { PlantSource } from '@andon/schemas'
import type { SourceFiles } from '../doors.ts'
import { compileMapping } from '../mapping.ts'
import type { Mapping } from '../mapping.ts'
import type { DecodeBody } from './http-content.ts'
import { checkCsvSize } from './http-csv.ts'

type FileSource = Extract<PlantSource, { kind: 'file' }>

export class MappedBodies {
  readonly #files: SourceFiles | undefined
  readonly #nowUs: () => number
  /** By source file: a changed one is another object. */
  readonly #compiled = new WeakMap<FileSource, Mapping>()

  constructor(files: SourceFiles | undefined, nowUs: () => number) {
    this.#files = files
    this.#nowUs = nowUs
  }

  /** The decoder that the query of a request target names, if it names one. Throws ANDON_INGEST_BAD_REQUEST (400). */
  decoderOf(target: string): DecodeBody | undefined {
    const at = target.indexOf('?')
    const id = at < 0 ? null : new URLSearchParams(target.slice(at + 1)).get('mapping')
    if (id === null) return undefined
    const files = this.#files?.of('file') ?? []
    const file = files.find((each) => each.id === id && each.mapping.format === 'csv')
    if (file === undefined) {
      const known = files.filter(({ mapping }) => mapping.format === 'csv').map((each) => each.id)
      const message = `mapping: found ${JSON.stringify(id.slice(0, 80))}, expected the id of a source file of kind file for csv (${known.join(', ') || 'there is none'})`
      throw new AndonError('ANDON_INGEST_BAD_REQUEST', message, { status: 400 })
    }
    const mapping = this.#mappingOf(file)
    return (body, { device }) => {
      const arrival = { levels: [''], receivedUs: this.#nowUs(), ...(device === undefined ? {} : { deviceId: device.id }) }
      checkCsvSize(body)
      return { readings: mapping.ofPayload(body, arrival), bytes: body.length }
    }
  }

  #mappingOf(file: FileSource): Mapping {
    let mapping = this.#compiled.get(file)
    if (mapping === undefined) this.#compiled.set(file, (mapping = compileMapping(file.mapping, file)))
    return mapping
  }
}
