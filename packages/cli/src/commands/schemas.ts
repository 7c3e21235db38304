// andon schemas: is today's schema compatible with all that was ever released or registered, what changed, and registering.

import { AndonError } from '@andon/kit/errors'
import { type AvroRecord, type SchemaName, avroSchemas } from '@andon/schemas'
import { type Context, CommandError } from '../context.ts'
import { type RegisteredVersion, registryClient } from '../data/registry.ts'
import { type Past, asRollback, checkSchema, registeredSchemas, releasedSchemas, sameSchema, schemaTopics } from '../data/schema-check.ts'
import { diffSchemas } from '../data/schema-words.ts'
import { EXIT } from '../exit.ts'
import { print, wholeNumber } from '../output.ts'

export interface SchemaOptions {
  readonly json?: boolean
  readonly yes?: boolean
}

const topicOf = (name: string): SchemaName => {
  if ((schemaTopics as readonly string[]).includes(name)) return name as SchemaName
  throw new AndonError('ANDON_CLI_TOPIC_SCHEMA', `Topic ${name} has no schema of this mesh. Those that have: ${schemaTopics.join(', ')}.`, {
    status: 400,
  })
}

const subjectOf = (context: Context, topic: string): string => `${context.namespace}${topic}-value`

/** Today's schemas against released versions and, unless `offline`, the registry's. Exit code 1 when one is incompatible. */
export const checkSchemas = async (
  context: Context,
  only: string | undefined,
  options: SchemaOptions & { readonly offline?: boolean },
): Promise<void> => {
  const registry = registryClient(context.registryUrl)
  const topics = only === undefined ? schemaTopics : [topicOf(only)]
  const checked: { topic: string; against: string[]; faults: ReturnType<typeof checkSchema> }[] = []
  for (const topic of topics) {
    const registered = options.offline ? [] : registeredSchemas(await registry.versions(subjectOf(context, topic)))
    const past: Past[] = [...releasedSchemas(topic), ...registered]
    checked.push({ topic, against: past.map(({ name }) => name), faults: checkSchema(topic, avroSchemas[topic], past) })
  }
  const faults = checked.flatMap((each) => each.faults)
  print(options.json === true, { topics: checked, faults: faults.length }, () =>
    checked
      .flatMap(({ topic, against, faults: found }) => [
        `${found.length === 0 ? 'ok ' : 'NO '} ${topic}  against ${against.join(', ') || 'nothing released or registered yet'}`,
        ...found.map(
          (fault) =>
            `      ${fault.field || '(the record)'}: ${fault.reader === 'today' ? `today cannot read ${fault.against}` : `${fault.against} cannot read today`}: ${fault.message}`,
        ),
      ])
      .join('\n'),
  )
  if (faults.length > 0)
    throw new CommandError(
      EXIT.failed,
      'Keep schemas FULL_TRANSITIVE: add fields with defaults, remove only fields that had one. [ANDON_CLI_SCHEMA_INCOMPATIBLE]',
    )
}

/** The schema a word names: `local` (this checkout), `v1` (a release), or a version number of the registry. */
const schemaNamed = (word: string, topic: SchemaName, versions: readonly RegisteredVersion[]): AvroRecord => {
  const found =
    word === 'local'
      ? avroSchemas[topic]
      : /^v\d+$/.test(word)
        ? releasedSchemas(topic).find(({ name }) => name === `released ${word}`)?.schema
        : versions.find(({ version }) => String(version) === word)?.schema
  if (found !== undefined) return found
  throw new AndonError(
    'ANDON_CLI_SCHEMA_VERSION',
    `There is no schema ${word} of ${topic}: take local, v<release>, or a version of the registry (${versions.map(({ version }) => version).join(', ') || 'none'}).`,
    { status: 400 },
  )
}

/** What changed between two schemas of a topic; by default from the registry's newest to this checkout. */
export const diffSchemaVersions = async (
  context: Context,
  name: string,
  from: string | undefined,
  to: string | undefined,
  options: SchemaOptions,
): Promise<void> => {
  const topic = topicOf(name)
  const needsRegistry = [from ?? '1', to ?? 'local'].some((word) => word !== 'local' && !/^v\d+$/.test(word))
  const versions = needsRegistry ? await registryClient(context.registryUrl).versions(subjectOf(context, topic)) : []
  const before = from ?? String(versions.at(-1)?.version ?? 'local')
  const after = to ?? 'local'
  const changes = diffSchemas(schemaNamed(before, topic, versions), schemaNamed(after, topic, versions))
  print(options.json === true, { topic, from: before, to: after, changes }, () =>
    changes.length === 0
      ? `${topic}: ${before} and ${after} say the same.`
      : [`${topic}: from ${before} to ${after}`, ...changes.map((line) => `  ${line}`)].join('\n'),
  )
}

/** Registers today's schemas that the registry lacks; says which ones until it is told --yes. */
export const registerSchemas = async (context: Context, only: string | undefined, options: SchemaOptions): Promise<void> => {
  const registry = registryClient(context.registryUrl)
  const results: { topic: string; subject: string; known: boolean; id: number | null; version: number }[] = []
  for (const topic of only === undefined ? schemaTopics : [topicOf(only)]) {
    const subject = subjectOf(context, topic)
    const versions = await registry.versions(subject)
    const known = versions.find(({ schema }) => sameSchema(schema, avroSchemas[topic]))
    const [fault] = checkSchema(topic, avroSchemas[topic], registeredSchemas(versions))
    if (fault !== undefined)
      throw new AndonError(
        'ANDON_CLI_SCHEMA_INCOMPATIBLE',
        `${subject}: ${fault.field || 'the record'} against ${fault.against}: ${fault.message}. \`andon schemas check\` says more.`,
      )
    const id = known?.id ?? (options.yes ? await registry.register(subject, avroSchemas[topic]) : null)
    results.push({ topic, subject, known: known !== undefined, id, version: known?.version ?? (versions.at(-1)?.version ?? 0) + 1 })
  }
  print(options.json === true, { registered: options.yes === true, schemas: results }, () =>
    [
      ...results.map(({ subject, known, id, version }) =>
        known
          ? `${subject}  version ${version}, id ${id}: there already`
          : options.yes
            ? `${subject}  version ${version}, id ${id}: registered`
            : `${subject}  would become version ${version}`,
      ),
      ...(options.yes || results.every(({ known }) => known) ? [] : ['Add --yes to do it.']),
    ].join('\n'),
  )
}

/** Registers an earlier schema as the newest again: nothing is deleted, and records of every version stay readable. */
export const rollbackSchema = async (context: Context, name: string, options: SchemaOptions & { readonly to?: string }): Promise<void> => {
  const topic = topicOf(name)
  const subject = subjectOf(context, topic)
  const registry = registryClient(context.registryUrl)
  const versions = await registry.versions(subject)
  const newest = versions.at(-1)
  const wanted =
    options.to === undefined ? versions.at(-2) : versions.find(({ version }) => version === wholeNumber('--to', options.to as string))
  if (newest === undefined || wanted === undefined || wanted === newest)
    throw new AndonError(
      'ANDON_CLI_SCHEMA_VERSION',
      `${subject} has no earlier version${options.to === undefined ? '' : ` ${options.to}`} to go back to (versions: ${versions.map(({ version }) => version).join(', ') || 'none'}).`,
      { status: 400 },
    )
  const schema = asRollback(wanted, newest.version)
  const [fault] = checkSchema(topic, schema, registeredSchemas(versions))
  if (fault !== undefined)
    throw new AndonError(
      'ANDON_CLI_SCHEMA_INCOMPATIBLE',
      `${subject} cannot go back to version ${wanted.version}: ${fault.field || 'the record'} against ${fault.against}: ${fault.message}.`,
    )
  const changes = diffSchemas(newest.schema, wanted.schema)
  const id = options.yes ? await registry.register(subject, schema) : null
  print(
    options.json === true,
    { subject, to: wanted.version, version: newest.version + 1, id, changes, registered: options.yes === true },
    () =>
      [
        `${subject}: version ${newest.version + 1} ${options.yes ? `(id ${id}) says` : 'would say'} what version ${wanted.version} says.`,
        ...changes.map((line) => `  ${line}`),
        'Records written with any version stay readable, and nothing is deleted. Services write the schema of their own build:',
        'roll their code back as well, or they register theirs again when they start (ANDON_REGISTER_SCHEMAS=false stops them).',
        ...(options.yes ? [] : ['Add --yes to do it.']),
      ].join('\n'),
  )
}
