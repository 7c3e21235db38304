// Which doors there are, and what each is given to open with. A door brings its own settings: they are read when INGEST_DOORS names it.

import type { Codec, Documents, Log, Logger, Metrics, Principals, Setting } from '@andon/kit'
import type { PlantSource, SourceKind } from '@andon/schemas'
import type { DoorName, Source } from './adapters/source.ts'
import type { CoreConfig } from './config.ts'
import type { Devices } from './devices.ts'
import type { HttpRoutes } from './http-routes.ts'

export type DoorSettings = Readonly<Record<string, Setting<unknown>>>
export type ValuesOf<S extends DoorSettings> = { readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never }

/** Source files (documents `sources/<id>`) of one kind. */
export interface SourceFiles {
  /** In force now, by id. */
  of<K extends SourceKind>(kind: K): readonly Extract<PlantSource, { kind: K }>[]
  /** Called after a change of any of them. Returns what ends it. */
  onChange(listener: () => void): () => void
}

/** Which of the pull sources this instance polls: each is one instance's at a time. */
export interface Assignment {
  isMine(sourceId: string): boolean
  /** Called after a change. Returns what ends it. */
  onChange(listener: () => void): () => void
}

/** What a door may use. Everything is open before the first door starts. */
export interface DoorContext {
  readonly config: CoreConfig
  readonly logger: Logger
  readonly metrics: Metrics
  /** Bearer tokens; read when first asked for. */
  readonly principals: () => Principals
  readonly sources: SourceFiles
  readonly assignment: Assignment
  readonly devices: Devices
  /** Routes on the port of the HTTP door, which must be among the doors. Mount in `open`, before it listens. */
  readonly http: HttpRoutes
  readonly documents: () => Documents
  /** For requests (buttons, enrolment) and manifests; readings go through the intake. */
  readonly log: () => Log
  readonly codec: () => Codec
}

/** A kind of door. */
export interface DoorKind<S extends DoorSettings = DoorSettings> {
  readonly name: DoorName
  /** One line for people. */
  readonly about: string
  readonly settings: S
  open(settings: ValuesOf<S>, context: DoorContext): Source
}

export const defineDoor = <const S extends DoorSettings>(kind: DoorKind<S>): DoorKind => kind as unknown as DoorKind
