// andon logs: the end of one log or of all; -f goes on as they grow.

import { closeSync, existsSync, openSync, readSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { tail } from '@andon/platform'
import { type Context, CommandError } from '../context.ts'
import { EXIT } from '../exit.ts'

const FOLLOW_EVERY_MS = 300

/** What was added to a file since the last look; a file that became shorter was rotated and is read from its start. */
const reader = (file: string, from: number): (() => string) => {
  let at = from
  return () => {
    const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0
    if (size < at) at = 0
    if (size === at) return ''
    const buffer = Buffer.alloc(size - at)
    const fd = openSync(file, 'r')
    readSync(fd, buffer, 0, buffer.length, at)
    closeSync(fd)
    at = size
    return buffer.toString('utf8')
  }
}

export const logs = async (context: Context, name: string | undefined, options: { follow?: boolean; lines?: string }): Promise<void> => {
  const folder = context.home.logs
  const all = existsSync(folder)
    ? readdirSync(folder)
        .filter((file) => file.endsWith('.log'))
        .map((file) => file.slice(0, -'.log'.length))
        .sort()
    : []
  const names = name === undefined ? all : all.filter((each) => each === name)
  if (names.length === 0)
    throw new CommandError(
      EXIT.failed,
      name === undefined ? `No logs in ${folder}.` : `No log of "${name}" in ${folder}. There are: ${all.join(', ') || 'none'}.`,
    )

  const prefix = (each: string, text: string): string => (names.length === 1 ? text : text.replace(/^/gm, `${each} | `))
  const lines = Number(options.lines ?? (name === undefined ? 5 : 100))
  const readers = names.map((each) => {
    const file = join(folder, `${each}.log`)
    const read = reader(file, statSync(file).size)
    const text = tail(file, lines)
    if (text !== '') console.log(prefix(each, text))
    return { each, read }
  })
  while (options.follow) {
    await new Promise((resolve) => setTimeout(resolve, FOLLOW_EVERY_MS))
    for (const { each, read } of readers) {
      const text = read()
      if (text !== '') process.stdout.write(`${prefix(each, text.trimEnd())}\n`)
    }
  }
}
