// The words of `andon failures`, `andon modes` and `andon verdict` on the command line.

import { type Command, Argument, Option } from 'commander'
import type { Context } from '../context.ts'
import { importFailures, listFailures, recordFailure, withdrawFailure } from './failures.ts'
import type { ImportOptions, RecordOptions } from './failures.ts'
import { judgeEpisode, listModes, setMode, showMode } from './modes.ts'
import type { ModeOptions, SetOptions } from './modes.ts'

interface CommonOptions {
  readonly json: () => Option
  readonly as: (principal: string) => Option
}

export const teachingCommands = (andon: Command, context: () => Context, { json, as }: CommonOptions): void => {
  const failures = andon.command('failures').description('what broke and what was serviced, with codes of ISO 14224')
  failures
    .command('record')
    .description('record one; the same one again changes nothing')
    .requiredOption('--asset <id>')
    .requiredOption('--at <time>', 'when it failed: 2026-11-23T08:00:00Z, or 10m, 24h, 7d ago')
    .option('--mode <code>', 'failure mode, e.g. VIB; UNK when it is not known')
    .option('--mechanism <code>', 'failure mechanism, e.g. 2.4 (wear)')
    .option('--cause <code>', 'failure cause, e.g. 3.4 (expected wear and tear)')
    .option('--detection <code>', 'how it was found, e.g. 6 (continuous condition monitoring)')
    .option('--component <name>')
    .option('--work-order <id>', 'joins the incident whose job carries it')
    .option('--restored <time>', 'when it ran again')
    .option('--note <text>')
    .option('--id <id>', 'known by this id; default: made of asset, time and mode')
    .option('--intervention', 'not a failure: maintenance that may have prevented one')
    .addOption(as('integrator'))
    .addOption(json())
    .action((options: RecordOptions) => recordFailure(context(), options))
  failures
    .command('import')
    .description('take a file in: CSV with a header, or a JSON object per line; repeats change nothing')
    .argument(
      '<file>',
      'columns asset, at, mode, mechanism, cause, detection, component, workOrder, note, kind, restored, failureId, source',
    )
    .option('--source <name>', 'who records: part of the id where a row gives none')
    .option('--dry-run', 'only say what it would do')
    .addOption(as('integrator'))
    .addOption(json())
    .action((file: string, options: ImportOptions) => importFailures(context(), file, options))
  failures
    .command('ls')
    .alias('list')
    .option('--asset <id>')
    .option('--class <id>', 'of an asset class')
    .option('--all', 'withdrawn ones too')
    .addOption(as('operator'))
    .addOption(json())
    .action((options: Parameters<typeof listFailures>[1]) => listFailures(context(), options))
  failures
    .command('withdraw')
    .description('take back one that was recorded by mistake')
    .argument('<failure>')
    .requiredOption('--reason <text>')
    .addOption(as('integrator'))
    .addOption(json())
    .action((id: string, options: Parameters<typeof withdrawFailure>[2]) => withdrawFailure(context(), id, options))

  const modes = andon.command('modes').description('fault modes: what clustering found, and what people say of it')
  modes
    .command('ls')
    .alias('list')
    .option('--class <id>', 'of an asset class')
    .addOption(as('operator'))
    .addOption(json())
    .action((options: ModeOptions) => listModes(context(), options))
  modes
    .command('show')
    .argument('<mode>', 'id, its beginning, or the name')
    .addOption(as('operator'))
    .addOption(json())
    .action((mode: string, options: ModeOptions) => showMode(context(), mode, options))
  modes
    .command('name')
    .description('give a mode its name; findings that show it carry the name from then on')
    .argument('<mode>', 'id, its beginning, or the present name')
    .argument('<name>')
    .option('--class <id>', 'asset class, where clustering cannot be asked')
    .addOption(as('shift-lead'))
    .addOption(json())
    .action((mode: string, name: string, options: ModeOptions) => setMode(context(), mode, { ...options, name }))
  modes
    .command('set')
    .description('say what a mode stands for and what to do about it; what is left out stays')
    .argument('<mode>', 'id, its beginning, or the name')
    .addOption(
      new Option('--standing <standing>', 'fault; normal or ignore: no alarm; known: accepted, lowest severity').choices([
        'fault',
        'normal',
        'known',
        'ignore',
      ]),
    )
    .option('--label <label...>')
    .option('--root-cause <text>')
    .option('--instruction <text>', 'what to do about it')
    .option('--cause <text>', 'ISA-18.2: what leads to it')
    .option('--consequence <text>', 'ISA-18.2: what happens if nobody responds')
    .option('--response <text>', 'ISA-18.2: what the operator does')
    .option('--time-to-respond <span>', 'ISA-18.2: 90s, 10m, 24h, 7d')
    .option('--class <id>', 'asset class, where clustering cannot be asked')
    .addOption(as('shift-lead'))
    .addOption(json())
    .action((mode: string, options: SetOptions) => setMode(context(), mode, options))

  andon
    .command('verdict')
    .description('say what an episode was')
    .argument('<episode>', 'id, as findings and the console show it')
    .addArgument(
      new Argument('<verdict>', 'normal-now: the new level is wanted').choices([
        'confirmed',
        'false-alarm',
        'normal-now',
        'planned',
        'unsure',
      ]),
    )
    .option('--note <text>')
    .option('--mode <mode>', 'fault mode it was: id, its beginning, or the name')
    .option('--asset <id>', 'where no incident knows the episode')
    .addOption(as('operator'))
    .addOption(json())
    .action((episode: string, verdict: string, options: Parameters<typeof judgeEpisode>[3]) =>
      judgeEpisode(context(), episode, verdict, options),
    )
}
