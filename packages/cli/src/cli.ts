// The `andon` command: noun, then verb. Every command takes --json where it shows something, and ends with an exit code of exit.ts.

import { Command, CommanderError, Option } from 'commander'
import { AndonError, messageOf } from '@andon/kit/errors'
import { serviceNames } from '@andon/schemas'
import { type BacktestOptions, runBacktest } from './commands/backtest.ts'
import {
  call,
  decideStep,
  listActions,
  listHolds,
  liftHold,
  placeHold,
  showAction,
  speakOnIncident,
  watchActions,
} from './commands/actions.ts'
import type { AsOptions } from './commands/actions.ts'
import { serveMcp } from './commands/mcp.ts'
import { demoState, INJECTIONS, inject, reset } from './commands/demo.ts'
import { approveDevice, DEVICE_MOVES, enrollDevice, listDevices, moveDevice, showDevice } from './commands/devices.ts'
import { type ChooseOptions, discardDlq, listDlq, redriveDlq, showDlq } from './commands/dlq.ts'
import { doctor } from './commands/doctor.ts'
import {
  type AuditExportOptions,
  type AuditKeyOptions,
  type AuditVerifyOptions,
  exportAudit,
  revokeKey,
  rotateKey,
  verifyAudit,
} from './commands/audit.ts'
import { down } from './commands/down.ts'
import { type EventOptions, type LineageOptions, showEvent, showLineage } from './commands/events.ts'
import { type FeaturesExportOptions, explainVector, exportVectors, previewSet } from './commands/features.ts'
import { type VerifyOptions, verifyIncident } from './commands/incident.ts'
import { logs } from './commands/logs.ts'
import { type ScoreOptions, listModels, scoreVectors, showModel } from './commands/models.ts'
import { applyPlant, checkPlant } from './commands/plant.ts'
import { type PolicyTestOptions, lintPolicies, testPolicy } from './commands/policy.ts'
import { type DiffOptions, type PromoteOptions, diffReplay, promoteReplay } from './commands/replay-diff.ts'
import { type ReleaseOptions, discardQuarantine, listQuarantine, releaseQuarantine, showQuarantine } from './commands/quarantine.ts'
import { type ReplayOptions, abortReplay, planReplay, replayStatus, runReplay } from './commands/replay.ts'
import { type SchemaOptions, checkSchemas, diffSchemaVersions, registerSchemas, rollbackSchema } from './commands/schemas.ts'
import { setup } from './commands/setup.ts'
import { type StateOptions, stateAt } from './commands/state.ts'
import { status } from './commands/status.ts'
import { type CorrectOptions, correctTelemetry } from './commands/telemetry.ts'
import { listTopics, tailTopic, type TailOptions } from './commands/topics.ts'
import { type ExportOptions, type ImportOptions, exportFormats, runExport, runImport } from './commands/transfer.ts'
import { up, upFailure } from './commands/up.ts'
import { type Context, CommandError, PRINCIPALS, loadContext } from './context.ts'
import { EXIT } from './exit.ts'
import { TABLE_FORMATS } from './features/export.ts'
import { teachingCommands } from './commands/teaching.ts'

const json = () => new Option('--json', 'one JSON object per result, for programs')
const as = (principal: string) =>
  new Option('--as <principal>', `whose development token to show (${PRINCIPALS.join(', ')}); ANDON_TOKEN goes before it`).default(
    principal,
  )

/** The command tree; `context` is read when a command runs, so that --help needs no settings. */
const program = (context: () => Context): Command => {
  const andon = new Command('andon').description('Plant signals to findings, findings to governed action.').exitOverride()

  andon
    .command('up')
    .description('start platform, services and console, and stay until Ctrl-C')
    .option('--demo', 'with the demo plant (examples/steel-plant)')
    .option('--plant <folder>', 'publish this plant folder')
    .addOption(new Option('--without <service...>', 'leave services out, to run them in a debugger').choices(serviceNames))
    .addOption(new Option('--brokers <count>', 'one broker, or a local cluster of three').choices(['1', '3']))
    .option('--secure', 'own authority, TLS at ingest’s doors, devices by certificate')
    .option('--site <id>', 'with --secure: the site, where no plant folder says it')
    .option('--listen <address>', 'with --secure: where ingest’s doors listen (default: every address)')
    .option('--name <name...>', 'with --secure: further names or addresses of this machine')
    .option('-d, --detach', 'return when everything is up')
    .action(({ brokers, ...options }: Omit<Parameters<typeof up>[1], 'brokers'> & { brokers?: string }) =>
      up(context(), { ...options, brokers: brokers === '3' ? 3 : 1 }).catch(fail(upFailure)),
    )
  andon
    .command('down')
    .description('end the running mesh')
    .option('--wipe', 'and remove its data, logs and tokens')
    .addOption(json())
    .action((options: Parameters<typeof down>[1]) => down(context(), options))
  andon
    .command('status')
    .description('who runs, since when, with how much memory')
    .addOption(json())
    .action((options: Parameters<typeof status>[1]) => status(context(), options))
  andon
    .command('logs')
    .description('the end of one log, or of all')
    .argument('[name]', 'kafka, registry, redis, nats or a service')
    .option('-f, --follow', 'go on as it grows')
    .option('-n, --lines <count>', 'how many lines')
    .action((name: string | undefined, options: Parameters<typeof logs>[2]) => logs(context(), name, options))
  andon
    .command('doctor')
    .description('what this machine has and lacks, and whether a running mesh is well')
    .addOption(json())
    .action((options: Parameters<typeof doctor>[1]) => doctor(context(), options))

  andon
    .command('setup')
    .description('topics, schemas and development tokens on a platform that already runs')
    .addOption(json())
    .action((options: { json?: boolean }) => setup(context(), options))

  const demo = andon.command('demo').description('the demo plant')
  demo
    .command('inject')
    .description(`break something: ${INJECTIONS.join(', ')}`)
    .argument('<what>')
    .addOption(json())
    .action((what: string, options: { json?: boolean }) => inject(context(), what, options))
  demo
    .command('reset')
    .description('make the demo plant healthy again')
    .addOption(json())
    .action((options: { json?: boolean }) => reset(context(), options))
  demo
    .command('state')
    .description('what the demo plant does now')
    .addOption(json())
    .action((options: { json?: boolean }) => demoState(context(), options))

  const topics = andon.command('topics').description('what is on the log')
  topics
    .command('list')
    .addOption(json())
    .action((options: { json?: boolean }) => listTopics(context(), options))
  topics
    .command('tail')
    .description('the last records, or those from a start on, decoded; with -f new ones as they come')
    .argument('<topic>')
    .option('-f, --follow', 'go on until Ctrl-C')
    .option('-n, --lines <count>', 'at most so many (10 before the end, else all)')
    .option('-o, --offset <start>', 'start, end, @2026-11-23T08:00:00Z, @-10m, or an offset', 'end')
    .option(
      '--filter <CEL>',
      'e.g. value.vector.values["vibrationG.rms"] > 2; over key, value, headers, timestamp, partition, offset, type, id',
    )
    .option('-p, --partition <number>')
    .option('--key <key>')
    .addOption(json())
    .option('--raw', 'the bytes in hex instead of the decoded value')
    .action((topic: string, options: TailOptions) => tailTopic(context(), topic, options))

  topics
    .command('export')
    .description('records as Parquet, Avro or Arrow: lineage columns, fields, and the bytes as they were')
    .argument('<topic>')
    .addOption(new Option('--format <format>').choices([...exportFormats]).default('parquet'))
    .requiredOption('--out <file|folder>', 'a file, or a folder (ends in /) for one file per partition')
    .option('--from <time>', 'record time, e.g. 2026-11-23T08:00:00Z or 24h ago; default: the beginning')
    .option('--to <time>', 'exclusive; default: now')
    .option('--filter <CEL>', 'as topics tail takes it')
    .option('-p, --partition <number>')
    .addOption(json())
    .action((topic: string, options: ExportOptions) => runExport(context(), topic, options))
  topics
    .command('import')
    .description('exported records onto a topic of their own: same ids, keys, bytes and timestamps')
    .argument('<file|folder>')
    .requiredOption('--to <topic>', 'never a live topic')
    .option('--as-run <id>', 'writes <topic>.run.<id>')
    .option('--append', 'the topic may hold records already')
    .addOption(json())
    .action((path: string, options: ImportOptions) => runImport(context(), path, options))

  const features = andon.command('features').description('vectors as a table, how one came about, what a feature set makes of a file')
  features
    .command('export')
    .description('vectors as a table: a row per window, a column per feature, and where each came from')
    .option('--from <time>', 'record time, e.g. 2026-11-23T08:00:00Z or 24h ago; default: the beginning')
    .option('--to <time>', 'exclusive; default: now')
    .option('--asset <id,…>', 'only these assets')
    .option('--set <name|digest>', 'only this feature set, or this version of it')
    .addOption(new Option('--as <format>').choices([...TABLE_FORMATS]).default('parquet'))
    .option('--out <file|folder>', 'default: features.<format>; a folder (ends in /) gets a file per version of a feature set')
    .option('--point-in-time', 'every revision, with the time from and to which it was the newest one known')
    .option('--at <file>', 'CSV with assetId, timeUs (or time) and further columns: for each row what was known of the asset then')
    .option('--late <file>', 'samples that came too late for their windows, as a table of their own')
    .option('--run <id>', 'vectors of a replay run instead of the live ones')
    .addOption(json())
    .action((options: FeaturesExportOptions) => exportVectors(context(), options))
  // The service's own code reads the options of these two, so that its image has the same commands.
  const tool = (name: string, description: string, run: typeof explainVector): void => {
    features
      .command(name)
      .description(description)
      .argument('[words...]')
      .allowUnknownOption()
      .helpOption(false)
      .action((_words: string[], _options: object, command: Command) => run(context(), command.args))
  }
  tool('explain', 'computes a vector again from the log and shows where every number comes from; --help says more', explainVector)
  tool('preview', 'runs a feature set on a CSV or Parquet file and plots it; --help says more', previewSet)

  const models = andon.command('models').description('registered models, and a range of vectors through one of them')
  models
    .command('ls')
    .description('every registered version and what was last said of it')
    .option('--asset <id>', 'only those of this asset')
    .addOption(json())
    .action((options: { json?: boolean; asset?: string }) => listModels(context(), options))
  models
    .command('show')
    .description('all facts of a model, its features and its card')
    .argument('<model>')
    .addOption(json())
    .action((name: string, options: { json?: boolean }) => showModel(context(), name, options))
  models
    .command('score')
    .description('vectors of a range or of files through one version, as the event path scores them; writes a file and nothing on the mesh')
    .requiredOption('--model <name>', 'name, name@champion, name@shadow (any role) or name/3')
    .option('--from <time>', 'record time, e.g. 2026-11-23T08:00:00Z or 24h ago; default: the beginning')
    .option('--to <time>', 'exclusive; default: now')
    .option('--asset <id,…>', 'vectors of these assets; default: of the asset that the model is for')
    .option('--run <id>', 'vectors of a replay run instead of the live ones')
    .option('--vectors <file...>', 'vectors of files instead: .parquet or .csv as `andon features export` writes them, .ndjson')
    .option('--out <file>', '.parquet, .avro, .arrow, .csv or .ndjson; default: scores.parquet')
    .addOption(json())
    .action((options: ScoreOptions) => scoreVectors(context(), options))

  const replay = andon.command('replay').description('a range of a topic through a service again, into topics of the run')
  const run = () => new Option('--as <run>', 'id of the run: lower-case letters, digits and dashes').makeOptionMandatory()
  const range = (command: Command) =>
    command
      .addOption(run())
      .option('--topic <topic>', 'topic to replay, or that of another run (features.run.run-42)')
      .option('--from <time>', 'record time, e.g. 2026-11-23T08:00:00Z or 24h (ago)')
      .option('--to <time>', 'exclusive; default: now')
      .option('--service <service>', 'features, features@<git ref> or features@image:<ref>; default: who reads the topic')
      .option('--config <digest...>', 'documents that hold throughout instead of those of the time')
      .option('--model <name@version...>', 'model versions that hold throughout; name@off leaves a model out')
      .addOption(
        new Option('--speed <speed>', 'as fast as it goes, or as far apart as it was received').choices(['max', '1x']).default('max'),
      )
      .addOption(json())
  range(replay.command('plan').description('what would be read, from which state, and written where; changes nothing')).action(
    (options: ReplayOptions) => planReplay(context(), options),
  )
  range(replay.command('run').description('runs it; after a Ctrl-C or a kill the same command goes on'))
    .option('--jobs <count>', 'processes that share the partitions; default: one per core, where the service allows it')
    .action((options: ReplayOptions) => runReplay(context(), options))
  replay
    .command('status')
    .description('runs and how far they are')
    .option('--as <run>')
    .addOption(json())
    .action((options: Parameters<typeof replayStatus>[1]) => replayStatus(context(), options))
  replay
    .command('abort')
    .description('ends a run for good')
    .addOption(run())
    .option('--delete', 'and removes its topics and files')
    .addOption(json())
    .action((options: Parameters<typeof abortReplay>[1]) => abortReplay(context(), options))

  replay
    .command('diff')
    .description('what a run says differently: same, changed, missing, new, by field, asset and fault mode')
    .argument('<run>')
    .option('--against <live|run>', 'the live log, or another run', 'live')
    .option('--topic <topic...>', 'only these of the topics that the run wrote')
    .option('--tolerance <field=number...>', 'absolute or relative, e.g. ratio=0.01; default=1e-5')
    .option('--html <file>', 'writes a report with examples')
    .addOption(json())
    .action((id: string, options: DiffOptions) => diffReplay(context(), id, options))
  replay
    .command('promote')
    .description('append what a run says differently as revisions of its windows, or take that back')
    .argument('<run>')
    .option('--topic <topic>', 'features or predictions; default: the first that the run wrote')
    .option('--undo', 'take the promotion back')
    .option('--tolerance <field=number...>', 'as diff takes it')
    .option('--yes', 'do it; without it only says what it would do')
    .addOption(json())
    .action((id: string, options: PromoteOptions) => promoteReplay(context(), id, options))

  andon
    .command('state')
    .description('what a service remembered of an asset at a moment')
    .command('at')
    .argument('<time>', '2026-11-23T08:00:00Z, or 10m (ago)')
    .requiredOption('--asset <id>')
    .option('--service <service>', 'features, clustering, or one of them @<git ref>', 'features')
    .addOption(json())
    .action((time: string, options: StateOptions) => stateAt(context(), time, options))

  const dlq = andon.command('dlq').description('dead letters and quarantine')
  const collect = (value: string, before: string[] = []) => [...before, value]
  const chooses = (command: Command) =>
    command
      .option('--code <code>', 'only letters with this error code')
      .option('--stack <hash>', 'only letters with this stack hash')
      .option('--at <partition@offset>', 'only this one; may be given several times', collect)
      .option('--since <time>', 'first seen since then: 2026-11-23T08:00:00Z, or 10m, 24h, 7d ago')
      .option('--limit <count>', 'at most so many, oldest first')
      .option('--all', 'settled letters too')
      .addOption(json())
  chooses(dlq.command('ls').alias('list').description('how many, by topic, code and stack hash').argument('[topic]')).action(
    (topic: string | undefined, options: ChooseOptions) => listDlq(context(), topic, options),
  )
  chooses(
    dlq.command('show').description('the letters of a topic, or one in full').argument('<topic>').argument('[partition@offset]'),
  ).action((topic: string, place: string | undefined, options: ChooseOptions) => showDlq(context(), topic, place, options))
  chooses(dlq.command('redrive').description('put the original bytes back on their topic, in a lane of its own').argument('<topic>'))
    .option('--yes', 'do it; without it only says what it would do')
    .action((topic: string, options: ChooseOptions) => redriveDlq(context(), topic, options))
  chooses(dlq.command('discard').description('settle letters that nobody will send back').argument('<topic>'))
    .requiredOption('--reason <text>')
    .option('--yes', 'do it; without it only says what it would do')
    .action((topic: string, options: ChooseOptions & { reason: string }) => discardDlq(context(), topic, options))

  const quarantine = andon.command('quarantine').description('readings that ingest refused, and their way back')
  chooses(quarantine.command('ls').alias('list').description('how many, by code')).action((options: ChooseOptions) =>
    listQuarantine(context(), options),
  )
  chooses(quarantine.command('show').description('the refused readings, or one in full').argument('[partition@offset]')).action(
    (place: string | undefined, options: ChooseOptions) => showQuarantine(context(), place, options),
  )
  chooses(quarantine.command('release').description('send readings to ingest again, after what was wrong was put right'))
    .requiredOption('--reason <text>')
    .option('--yes', 'do it; without it only says what it would do')
    .addOption(as('operator'))
    .action((options: ReleaseOptions) => releaseQuarantine(context(), options))
  chooses(quarantine.command('discard').description('settle readings that nobody will send back'))
    .requiredOption('--reason <text>')
    .option('--yes', 'do it; without it only says what it would do')
    .action((options: ChooseOptions & { reason: string }) => discardQuarantine(context(), options))

  const telemetry = andon.command('telemetry').description('samples put right afterwards')
  telemetry
    .command('correct')
    .description('write samples that supersede those of a range')
    .requiredOption('--asset <id>')
    .requiredOption('--channel <id...>', 'channels whose samples are superseded')
    .requiredOption('--from <time>', 'first event time: 2026-11-23T08:00:00Z, or 10m, 24h, 7d ago')
    .requiredOption('--to <time>', 'event time behind the last one')
    .option(
      '--file <file>',
      'what takes their place: CSV (time or timeUs, then a column per channel) or a JSON sample per line; default: nothing',
    )
    .requiredOption('--reason <text>')
    .option('--yes', 'do it; without it only says what it would do')
    .addOption(as('operator'))
    .addOption(json())
    .action((options: CorrectOptions) => correctTelemetry(context(), options))

  const events = andon.command('events').description('one event, and what it came from and led to')
  const since = () => new Option('--since <time>', 'how far back to look: 24h, 7d, or a time').default('24h')
  events
    .command('show')
    .argument('<id>', 'ce_id')
    .addOption(since())
    .addOption(json())
    .action((id: string, options: EventOptions) => showEvent(context(), id, options))
  events
    .command('lineage')
    .description('walks causation both ways')
    .argument('<id>', 'ce_id')
    .option('--up', 'only what caused it')
    .option('--down', 'only what it caused')
    .option('--depth <count>', 'hops each way', '10')
    .addOption(since())
    .addOption(json())
    .action((id: string, options: LineageOptions) => showLineage(context(), id, options))

  const schemas = andon.command('schemas').description('schemas of the topics: compatible, changed, registered')
  schemas
    .command('check')
    .description('today against every released and registered version, both ways')
    .argument('[topic]')
    .option('--offline', 'against released versions only')
    .addOption(json())
    .action((topic: string | undefined, options: SchemaOptions) => checkSchemas(context(), topic, options))
  schemas
    .command('diff')
    .description('what changed, in words')
    .argument('<topic>')
    .argument('[from]', 'a version of the registry, v<release> or local; default: the newest registered')
    .argument('[to]', 'likewise; default: local')
    .addOption(json())
    .action((topic: string, from: string | undefined, to: string | undefined, options: SchemaOptions) =>
      diffSchemaVersions(context(), topic, from, to, options),
    )
  schemas
    .command('register')
    .description('register what the registry lacks')
    .argument('[topic]')
    .option('--yes', 'do it; without it only says what it would do')
    .addOption(json())
    .action((topic: string | undefined, options: SchemaOptions) => registerSchemas(context(), topic, options))
  schemas
    .command('rollback')
    .description('register an earlier version as the newest again')
    .argument('<topic>')
    .option('--to <version>', 'default: the one before the newest')
    .option('--yes', 'do it; without it only says what it would do')
    .addOption(json())
    .action((topic: string, options: SchemaOptions & { to?: string }) => rollbackSchema(context(), topic, options))

  const actions = andon.command('actions').description('incidents and their steps')
  actions
    .command('list')
    .option('--all', 'closed ones too')
    .addOption(as('operator'))
    .addOption(json())
    .action((options: Parameters<typeof listActions>[1]) => listActions(context(), options))
  actions
    .command('show')
    .argument('<incident>')
    .addOption(as('operator'))
    .addOption(json())
    .action((id: string, options: Parameters<typeof showAction>[2]) => showAction(context(), id, options))
  for (const verb of ['approve', 'reject'] as const) {
    actions
      .command(verb)
      .description(`ask to ${verb} a step`)
      .argument('<step>', 'id, or its beginning')
      .option('--reason <text>')
      .addOption(as('operator'))
      .addOption(json())
      .action((id: string, options: Parameters<typeof decideStep>[3]) => decideStep(context(), verb, id, options))
  }
  actions
    .command('acknowledge')
    .description('say that you have it: what was only told stops escalating')
    .argument('<incident>')
    .option('--reason <text>')
    .addOption(as('operator'))
    .addOption(json())
    .action((id: string, options: AsOptions & { reason?: string }) =>
      speakOnIncident(context(), 'acknowledge', id, options.reason ?? '', options),
    )
  actions
    .command('comment')
    .description('add a remark to the timeline')
    .argument('<incident>')
    .argument('<text>')
    .addOption(as('operator'))
    .addOption(json())
    .action((id: string, text: string, options: AsOptions) => speakOnIncident(context(), 'comment', id, text, options))
  actions
    .command('watch')
    .description('live notices until Ctrl-C')
    .addOption(json())
    .action((options: { json?: boolean }) => watchActions(context(), options))

  andon
    .command('mcp')
    .description('the Model Context Protocol on standard input and output, for agents that read and propose')
    .addOption(as('agent'))
    .action((options: AsOptions) => serveMcp(context(), options))

  const incident = andon.command('incident').description('what an incident rests on')
  incident
    .command('verify')
    .description('reads the sealed inputs again, from the blob store alone, and computes every digest')
    .argument('<incident>', 'id')
    .option('--digest <sha256>', 'of IncidentSealed: the manifest has to be that one')
    .addOption(json())
    .action((id: string, options: VerifyOptions) => verifyIncident(context(), id, options))

  const audit = andon.command('audit').description('the sealed log of decisions, for whoever wants to check it')
  const anchors = () => new Option('--anchors <folder>', 'where seals are anchored: ACTIONS_AUDIT_DIR of the actions service')
  const keyFile = (whose: string) => new Option('--key-file <file>', `${whose}, PEM`).makeOptionMandatory()
  audit
    .command('export')
    .description('records, seals and keys as plain files, with a verifier that needs Node alone')
    .option('--from <time>', 'record time, e.g. 2026-11-23T08:00:00Z or 24h ago; default: the beginning')
    .option('--to <time>', 'exclusive; default: the end of the log')
    .requiredOption('--out <dir>', 'a new or empty folder')
    .addOption(anchors().makeOptionMandatory())
    .addOption(json())
    .action((options: AuditExportOptions) => exportAudit(context(), options))
  audit
    .command('verify')
    .description('names everything in an export that is not as it was sealed; no broker, no network')
    .argument('<dir>')
    .option('--key <fingerprint...>', "the plant's sealing key, as you have it from elsewhere")
    .addOption(anchors())
    .addOption(json())
    .action((folder: string, options: AuditVerifyOptions) => verifyAudit(folder, options))
  audit
    .command('rotate')
    .description('puts a new sealing key in place, introduced by the old one')
    .addOption(keyFile('the key that seals'))
    .addOption(anchors().makeOptionMandatory())
    .action((options: AuditKeyOptions) => rotateKey(options))
  audit
    .command('revoke')
    .description('ends trust in a sealing key')
    .argument('<fingerprint>')
    .requiredOption('--from <place...>', 'actions/<partition>@<offset>: first offset it no longer seals; none given for a partition: all')
    .option('--keep <fingerprint...>', 'keys it introduced that still count')
    .addOption(keyFile('the key that says so'))
    .addOption(anchors().makeOptionMandatory())
    .action((key: string, options: Parameters<typeof revokeKey>[1]) => revokeKey(key, options))

  andon
    .command('call')
    .description('call for help at a line or an asset')
    .argument('<place>')
    .argument('<title>', 'what is wrong')
    .addOption(as('operator'))
    .addOption(json())
    .action((place: string, title: string, options: Parameters<typeof call>[3]) => call(context(), place, title, options))

  const hold = andon.command('hold').description('stop all execution at a line, or everywhere')
  hold
    .command('list')
    .addOption(as('operator'))
    .addOption(json())
    .action((options: Parameters<typeof listHolds>[1]) => listHolds(context(), options))
  hold
    .command('place')
    .argument('<scope>', 'a line, or * for everything')
    .requiredOption('--reason <text>')
    .addOption(as('operator'))
    .addOption(json())
    .action((scope: string, options: Parameters<typeof placeHold>[2]) => placeHold(context(), scope, options))
  hold
    .command('lift')
    .argument('<hold>')
    .requiredOption('--reason <text>')
    .addOption(as('shift-lead'))
    .addOption(json())
    .action((id: string, options: Parameters<typeof liftHold>[2]) => liftHold(context(), id, options))

  teachingCommands(andon, context, { json, as })

  const devices = andon.command('devices').description('who devices are, and who let them in (secure mode)')
  devices
    .command('ls')
    .alias('list')
    .option('--all', 'retired ones too')
    .addOption(as('operator'))
    .addOption(json())
    .action((options: Parameters<typeof listDevices>[1]) => listDevices(context(), options))
  devices
    .command('show')
    .argument('<device>')
    .addOption(as('operator'))
    .addOption(json())
    .action((id: string, options: Parameters<typeof showDevice>[2]) => showDevice(context(), id, options))
  devices
    .command('enroll')
    .description('a claim certificate for one enrolment (EST), or with --csr the certificate at once')
    .argument('<device>')
    .option('--csr <file>', 'certificate request of the device (PEM or DER): its key stays where it is')
    .option('--out <path>', 'folder of the claim, or file of the certificate')
    .addOption(as('operator'))
    .addOption(json())
    .action((id: string, options: Parameters<typeof enrollDevice>[2]) => enrollDevice(context(), id, options))
  devices
    .command('approve')
    .description('let a device speak, or change the assets of one that does')
    .argument('<device>')
    .requiredOption('--asset <id...>', 'assets it may feed; * is all of the site')
    .option('--reason <text>')
    .addOption(as('operator'))
    .addOption(json())
    .action((id: string, options: Parameters<typeof approveDevice>[2]) => approveDevice(context(), id, options))
  for (const [verb, description] of Object.entries(DEVICE_MOVES) as [keyof typeof DEVICE_MOVES, string][]) {
    const command = devices
      .command(verb)
      .description(description)
      .argument('<device>')
      .option('--reason <text>')
      .addOption(as('operator'))
      .addOption(json())
    if (verb === 'revoke') command.option('--certificate <sha256>', 'only this one of its certificates')
    command.action((id: string, options: Parameters<typeof moveDevice>[3]) => moveDevice(context(), verb, id, options))
  }

  andon
    .command('backtest')
    .description('your own recording through the code that runs live: what would have been found, when and by what; needs no mesh')
    .requiredOption('--input <file>', 'CSV (any dialect, .gz too) or Parquet; or a folder as Amazon Lookout for Equipment takes it')
    .option('--time <column>', 'column of times; default: found by its name or form')
    .option('--zone <zone>', 'of times that name none: Europe/Berlin, +02:00 (default: UTC)')
    .option('--asset <id>', 'what to call the asset (default: the name of the file)')
    .option('--asset-column <column>', 'each asset of this column is learned and judged by itself')
    .option('--train-rows <count>', 'rows of normal operation at the beginning; default: 15 %, at least 200')
    .option('--train-until <time>', 'or: rows before this time')
    .option('--channels <names>', 'judge only these columns')
    .option('--exclude <names>', 'leave these columns out')
    .option('--set <file>', 'feature set (YAML); default: the rows as they are')
    .option('--labels <file>', 'known faults: start and end per line, or times with a column of 0 and 1')
    .option('--label-column <column>', 'the column of the input that has them')
    .option('--lookout', 'also writes results.jsonl, the result lines of Amazon Lookout for Equipment')
    .option('--out <folder>', 'where to', 'backtest')
    .addOption(json())
    .action((options: BacktestOptions) => runBacktest(options))

  const policy = andon.command('policy').description('policies: checked, and tried on recorded findings')
  policy
    .command('lint')
    .description('every fault of the policies of a plant folder, with file, line and column')
    .argument('<folder>')
    .addOption(json())
    .action((folder: string, options: { json?: boolean }) => lintPolicies(context(), folder, options))
  policy
    .command('test')
    .description('what a policy plans for recorded findings, and which of them get another plan; writes nothing, acts on nothing')
    .requiredOption('--from <time>', 'record time, e.g. 2026-11-23T08:00:00Z or 24h ago')
    .option('--to <time>', 'exclusive; default: now')
    .option('--policy <file>', 'the version to try, in place of the published one of its name; default: what is published')
    .option('--against <file>', 'the version to compare with; default: what is published')
    .addOption(json())
    .action((options: PolicyTestOptions) => testPolicy(context(), options))

  const plant = andon.command('plant').description('plant documents')
  plant
    .command('check')
    .argument('<folder>')
    .addOption(json())
    .action((folder: string, options: { json?: boolean }) => checkPlant(context(), folder, options))
  plant
    .command('apply')
    .argument('<folder>')
    .addOption(as('shift-lead'))
    .addOption(json())
    .action((folder: string, options: Parameters<typeof applyPlant>[2]) => applyPlant(context(), folder, options))
  return andon
}

/** Rewords a failure and keeps the exit code it stands for. */
const fail =
  (word: (error: unknown) => string) =>
  (error: unknown): never => {
    throw new CommandError(exitCodeOf(error), word(error))
  }

const exitCodeOf = (error: unknown): number => {
  if (error instanceof CommandError) return error.exitCode
  return error instanceof AndonError && (error.code === 'ANDON_SETTING_INVALID' || error.status === 400) ? EXIT.usage : EXIT.failed
}

/** Runs one command and gives the exit code; a failure prints one message on standard error. */
export const runCli = async (args: readonly string[]): Promise<number> => {
  try {
    await program(() => loadContext(process.env)).parseAsync([...args], { from: 'user' })
    return EXIT.ok
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage // commander has said why
    const message = messageOf(error)
    if (message !== '') console.error(error instanceof AndonError ? `${message} [${error.code}]` : message)
    return exitCodeOf(error)
  }
}
