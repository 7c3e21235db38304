// `sources/<id>` documents on config → the source files of a door's kind.

import type { Documents } from '@andon/kit'
import type { PlantSource, SourceKind } from '@andon/schemas'
import type { SourceFiles } from './doors.ts'

/** Reads what `documents` has; a changed document is told to the listeners once. */
export const sourceFiles = (documents: () => Documents): SourceFiles => ({
  of: <K extends SourceKind>(kind: K) =>
    documents()
      .list<PlantSource>('source')
      .map(({ value }) => value)
      .filter((source): source is Extract<PlantSource, { kind: K }> => source.kind === kind),
  onChange: (listener) =>
    documents().onChange(({ kind }) => {
      if (kind === 'source') listener()
    }),
})
