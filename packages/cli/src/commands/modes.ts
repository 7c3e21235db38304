// andon modes, andon verdict: what clustering found, and what people say of it. Reads the read door of clustering and the actions door;
// what people say goes to the actions door, and the owner of the class's line decides.

import { type Context, CommandError, tokenOf } from '../context.ts'
import { parseSpanMs } from '../data/when.ts'
import { callDoor } from '../door.ts'
import { EXIT } from '../exit.ts'
import { print, table } from '../output.ts'
import type { AsOptions } from './actions.ts'

/** A mode as clustering found it. */
interface FoundMode {
  readonly modeId: string
  readonly classId: string
  readonly share: number
  readonly isFault: boolean
  readonly failures: { readonly episodes: number; readonly failures: number; readonly hasPrecededFailures: boolean } | null
}

/** What people said of a mode. */
interface Note {
  readonly modeId: string
  readonly classId: string
  readonly name: string | null
  readonly standing: string
  readonly labels: readonly string[]
}

export interface ModeOptions extends AsOptions {
  readonly class?: string
}

export interface SetOptions extends ModeOptions {
  readonly name?: string
  readonly standing?: string
  readonly label?: readonly string[]
  readonly rootCause?: string
  readonly instruction?: string
  readonly cause?: string
  readonly consequence?: string
  readonly response?: string
  readonly timeToRespond?: string
}

const query = (options: ModeOptions): string => (options.class === undefined ? '' : `?class=${encodeURIComponent(options.class)}`)

/** What clustering found; null where its door does not answer: names can be given without it. */
const found = async (context: Context, options: ModeOptions): Promise<readonly FoundMode[] | null> => {
  const url = `${context.doors.clustering}/v1/fault-modes${query(options)}`
  try {
    const { body } = await callDoor<{ classes: readonly { readonly modes: readonly FoundMode[] }[] }>('GET', url, {
      token: tokenOf(context, options.as),
    })
    return body.classes.flatMap(({ modes }) => modes)
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === EXIT.notRunning) return null
    throw error
  }
}

const notes = async (context: Context, options: ModeOptions): Promise<readonly Note[]> => {
  const url = `${context.doors.actions}/v1/fault-modes${query(options)}`
  return (await callDoor<{ modes: readonly Note[] }>('GET', url, { token: tokenOf(context, options.as) })).body.modes
}

const percent = (share: number): string => `${Math.round(share * 100)} %`

export const listModes = async (context: Context, options: ModeOptions): Promise<void> => {
  const [modes, said] = await Promise.all([found(context, options), notes(context, options)])
  const noteOf = new Map(said.map((note) => [note.modeId, note]))
  const over = said.filter(({ modeId }) => !modes?.some((mode) => mode.modeId === modeId))
  const all = [
    ...(modes ?? []).map((mode) => ({ ...mode, note: noteOf.get(mode.modeId) ?? null })),
    ...over.map((note) => ({ modeId: note.modeId, classId: note.classId, share: null, isFault: null, failures: null, note })),
  ]
  print(options.json === true, { modes: all, isClusteringUp: modes !== null }, () => {
    const silent = modes === null ? `Clustering at ${context.doors.clustering} does not answer: only what people said is shown.\n` : ''
    if (all.length === 0) return `${silent}No fault modes are known.`
    return (
      silent +
      table([
        ['MODE', 'CLASS', 'NAME', 'STANDING', 'SHARE', 'SHOWS IN EPISODES', 'FOLLOWED BY FAILURES'],
        ...all.map(({ modeId, classId, share, isFault, failures, note }) => [
          modeId,
          classId,
          note?.name ?? '-',
          note?.standing ?? 'fault',
          share === null ? '-' : percent(share),
          isFault === null ? 'no longer there' : isFault ? 'yes' : 'no',
          failures === null
            ? '-'
            : `${failures.failures} of ${failures.episodes}${failures.hasPrecededFailures ? ', more than by chance' : ''}`,
        ]),
      ])
    )
  })
}

interface KnownMode {
  readonly modeId: string
  readonly classId: string
}

/** The mode by its id, the beginning of it, or its name. */
const resolve = async (context: Context, options: ModeOptions, given: string): Promise<KnownMode> => {
  const [modes, said] = await Promise.all([found(context, options), notes(context, options)])
  const known = new Map([...(modes ?? []), ...said].map(({ modeId, classId }): [string, KnownMode] => [modeId, { modeId, classId }]))
  const exact = known.get(given)
  if (exact !== undefined) return exact
  const named = new Set(said.filter(({ name }) => name === given).map(({ modeId }) => modeId))
  const matching = [...known.values()].filter(({ modeId }) => modeId.startsWith(given) || named.has(modeId))
  const [only] = matching
  if (only !== undefined && matching.length === 1) return only
  // without clustering's door an id is taken as it is, if its class is said
  if (modes === null && options.class !== undefined) return { modeId: given, classId: options.class }
  throw new CommandError(
    EXIT.failed,
    only === undefined
      ? `No fault mode ${given} is known. See \`andon modes ls\`.`
      : `${matching.length} fault modes match ${given}: ${matching.map(({ modeId }) => modeId).join(', ')}`,
  )
}

export const showMode = async (context: Context, given: string, options: ModeOptions): Promise<void> => {
  const { modeId } = await resolve(context, options, given)
  const token = tokenOf(context, options.as)
  const get = async (door: string): Promise<unknown> => {
    try {
      return (await callDoor('GET', `${door}/v1/fault-modes/${encodeURIComponent(modeId)}`, { token })).body
    } catch (error) {
      if (error instanceof CommandError && (error.exitCode === EXIT.notRunning || error.message.includes('UNKNOWN'))) return null
      throw error
    }
  }
  const [asFound, said] = await Promise.all([get(context.doors.clustering), get(context.doors.actions)])
  const mode = { modeId, found: asFound, said }
  print(options.json === true, mode, () => JSON.stringify(mode, null, 2))
}

export const setMode = async (context: Context, given: string, options: SetOptions): Promise<void> => {
  const { modeId, classId } = await resolve(context, options, given)
  const { name, standing, rootCause, instruction, cause, consequence, response } = options
  const said = { name, standing, labels: options.label, rootCause, instruction, cause, consequence, response }
  const words = Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined))
  const time = options.timeToRespond === undefined ? {} : { timeToRespondS: secondsOf('--time-to-respond', options.timeToRespond) }
  if (Object.keys(words).length + Object.keys(time).length === 0)
    throw new CommandError(EXIT.usage, 'Nothing to set: see `andon modes set --help`.')
  const { body } = await callDoor<Record<string, unknown>>(
    'POST',
    `${context.doors.actions}/v1/fault-modes/${encodeURIComponent(modeId)}`,
    { token: tokenOf(context, options.as), body: { class: classId, ...words, ...time } },
  )
  print(
    options.json === true,
    { modeId, classId, ...body },
    () => `Said of ${modeId} (${classId}): ${[...Object.keys(words), ...Object.keys(time)].join(', ')}`,
  )
}

const secondsOf = (option: string, text: string): number => {
  const ms = parseSpanMs(text)
  if (ms === undefined) throw new CommandError(EXIT.usage, `${option}: expected a length of time (90s, 10m, 24h, 7d), found "${text}".`)
  return Math.round(ms / 1000)
}

export const judgeEpisode = async (
  context: Context,
  episodeId: string,
  verdict: string,
  options: AsOptions & { readonly note?: string; readonly mode?: string; readonly asset?: string },
): Promise<void> => {
  const mode = options.mode === undefined ? {} : { mode: (await resolve(context, options, options.mode)).modeId }
  const { note, asset } = options
  const { body } = await callDoor<{ incidentId?: string | null }>(
    'POST',
    `${context.doors.actions}/v1/episodes/${encodeURIComponent(episodeId)}/verdict`,
    { token: tokenOf(context, options.as), body: { verdict, ...mode, note, asset } },
  )
  print(options.json === true, { episodeId, verdict, ...body }, () => `Said of episode ${episodeId}: ${verdict}`)
}
