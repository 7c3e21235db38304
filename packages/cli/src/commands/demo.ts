// andon demo: breaks something in the demo plant, puts it right again, or shows its state. Everything here is simulated, except `broker-kill`,
// which kills the real broker of the local mesh; the supervisor starts it again.

import { type Context, CommandError, requireRunning } from '../context.ts'
import { callDoor } from '../door.ts'
import { EXIT } from '../exit.ts'
import { plain, print } from '../output.ts'

export const INJECTIONS = ['bearing-wear', 'sensor-stuck', 'camera-freeze', 'line-refuses', 'broker-kill'] as const

const killBroker = (context: Context): { pid: number } => {
  const broker = requireRunning(context).children.find((child) => child.name === 'kafka')
  if (broker === undefined) throw new CommandError(EXIT.notRunning, 'The mesh runs no broker of its own.')
  process.kill(broker.identity.pid, 'SIGKILL')
  return { pid: broker.identity.pid }
}

export const inject = async (context: Context, what: string, options: { json?: boolean }): Promise<void> => {
  if (!(INJECTIONS as readonly string[]).includes(what))
    throw new CommandError(EXIT.usage, `"${what}": expected one of ${INJECTIONS.join(', ')}.`)
  const result =
    what === 'broker-kill'
      ? killBroker(context)
      : (await callDoor<unknown>('POST', `${context.doors.plant}/inject/${what}`, { body: {} })).body
  print(options.json === true, { injected: what, result }, () => `Injected: ${what}`)
}

export const reset = async (context: Context, options: { json?: boolean }): Promise<void> => {
  const { body } = await callDoor('POST', `${context.doors.plant}/reset`, { body: {} })
  print(options.json === true, { reset: true, result: body ?? null }, () => 'The demo plant is healthy again.')
}

export const demoState = async (context: Context, options: { json?: boolean }): Promise<void> => {
  const { body } = await callDoor('GET', `${context.doors.plant}/state`)
  print(options.json === true, body, () => JSON.stringify(plain(body), null, 2))
}
