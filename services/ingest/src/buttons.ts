// A press of a button → CallRequested on `actions`: the same request that `andon call` makes. Who presses is acknowledged only when the
// request is on the log. A bouncing contact is one call, and so is a press that is sent again.

import { AndonError, publish, uuid8 } from '@andon/kit'
import { callRequest } from '@andon/decisions'
import type { Actions, Plant, PlantSource } from '@andon/schemas'
import type { DoorContext } from './doors.ts'

type ButtonFile = Extract<PlantSource, { kind: 'button' }>

export interface Buttons {
  /**
   * Calls. The payload is empty, or JSON with `epoch` and `seq` of the press, which then identify it. Resolves when the call is on the
   * log, with its id; rejects with ANDON_INGEST_UNKNOWN_BUTTON, ANDON_INGEST_BAD_FIELD, or a retriable error.
   */
  press(button: string, payload: Buffer): Promise<string>
}

export interface ButtonsDeps {
  readonly files: () => readonly ButtonFile[]
  readonly plant: () => Plant | undefined
  /** Resolves when the brokers have the request. */
  readonly append: (request: Actions) => Promise<unknown>
  readonly nowUs: () => number
}

interface Call {
  readonly id: string
  readonly atUs: number
  readonly appended: Promise<unknown>
}

export const buttons = (deps: ButtonsDeps): Buttons => {
  const latest = new Map<string, Call>()

  const call = async (file: ButtonFile, identity: readonly (string | number)[], atUs: number): Promise<string> => {
    const id = uuid8('button', file.id, ...identity)
    const request = callRequest(
      id,
      placeOf(file, deps.plant()),
      file.asset ?? null,
      file.title,
      { id: `button:${file.id}`, roles: ['button'] },
      atUs,
    )
    const appended = deps.append(request)
    latest.set(file.id, { id, atUs, appended })
    try {
      await appended
      return id
    } catch (error) {
      latest.delete(file.id) // the next press is a call again
      throw error
    }
  }

  return {
    press: async (button, payload) => {
      const file = deps.files().find(({ id }) => id === button)
      if (file === undefined) throw unknownButton(button)
      const number = numberOf(payload)
      const atUs = deps.nowUs()
      const last = latest.get(button)
      const debounceUs = file.debounceS * 1e6
      if (last !== undefined && atUs >= last.atUs && atUs - last.atUs < debounceUs) {
        await last.appended
        return last.id
      }
      // Without a number the time slot identifies it, so that one press that reaches two instances is mostly one call.
      return call(file, number ?? ['slot', Math.floor(atUs / Math.max(debounceUs, 1))], atUs)
    },
  }
}

const placeOf = ({ id, asset, line }: ButtonFile, plant: Plant | undefined): string => {
  if (plant === undefined) throw new AndonError('ANDON_INGEST_NO_PLANT', 'No plant file is published on config', { retriable: true })
  const lineId = line ?? plant.assets.find((each) => each.id === asset)?.line
  const found = plant.lines.find((each) => each.id === lineId)
  if (found === undefined) {
    throw new AndonError(
      'ANDON_INGEST_UNKNOWN_BUTTON',
      `sources/${id}: plant.yaml has no ${asset === undefined ? `line ${line}` : `asset ${asset}`}`,
      {
        status: 404,
      },
    )
  }
  return found.controlGroup
}

const unknownButton = (button: string) =>
  new AndonError('ANDON_INGEST_UNKNOWN_BUTTON', `found button ${button.slice(0, 100)}, expected one with a source file of kind button`, {
    status: 404,
  })

const numberOf = (payload: Buffer): readonly (string | number)[] | undefined => {
  if (payload.length === 0) return undefined
  let value: unknown
  try {
    value = JSON.parse(payload.toString('utf8'))
  } catch {
    return undefined // many buttons send a word of their own
  }
  if (typeof value !== 'object' || value === null || !('seq' in value)) return undefined
  const { seq, epoch = 0 } = value as { seq: unknown; epoch?: unknown }
  for (const [field, count] of [
    ['seq', seq],
    ['epoch', epoch],
  ] as const) {
    if (!Number.isSafeInteger(count) || (count as number) < 0) {
      throw new AndonError('ANDON_INGEST_BAD_FIELD', `${field}: found ${JSON.stringify(count)?.slice(0, 80)}, expected an integer ≥ 0`, {
        status: 400,
      })
    }
  }
  return [epoch as number, seq as number]
}

const opened = new WeakMap<DoorContext, Buttons>()

/** Buttons of the plant, on the log: the same ones for every door, so that a press that comes through two of them is one call. */
export const buttonsOf = (context: DoorContext): Buttons => {
  const known = opened.get(context)
  if (known !== undefined) return known
  const append = async (request: Actions) => {
    const output = { topic: 'actions', key: request.line, value: request, id: request.id, type: request.type, timeUs: request.atUs }
    await publish(context.log(), context.codec(), [output], `andon/ingest/${context.config.instance}`)
  }
  const made = buttons({
    files: () => context.sources.of('button'),
    plant: () => context.documents().get<Plant>('plant')?.value,
    append,
    nowUs: () => Date.now() * 1000,
  })
  opened.set(context, made)
  return made
}
