// Work of others' code on hostile bytes, ended when it takes too long: hyparquet's decoders can be made to go round for ever.

import { Script, createContext } from 'node:vm'

const holder: { work: () => unknown } = { work: () => undefined }
const context = createContext(holder)
const script = new Script('work()')

/** What `work` returns; it must not wait for anything. Throws ERR_SCRIPT_EXECUTION_TIMEOUT when it is not done within that time. */
export const within = <T>(timeoutMs: number, work: () => T): T => {
  holder.work = work
  try {
    return script.runInContext(context, { timeout: timeoutMs }) as T
  } finally {
    holder.work = () => undefined // what it holds may be large
  }
}
