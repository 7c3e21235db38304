// Which code is running, told without git: the released version, and a digest over the sources of service, packages and schemas.

import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../../', import.meta.url))

const digests = new Map<string, string>()

/** Version of the release this code belongs to. */
export const codeVersion = (): string => {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
  return manifest.version
}

/** SHA-256 over what the service runs; equal digests mean equal sources. Read once, then remembered. */
export const codeDigest = (service: string): string => {
  const known = digests.get(service)
  if (known !== undefined) return known
  const digest = createHash('sha256')
  for (const folder of [
    `services/${service}/src`,
    'packages/kit/src',
    'packages/decisions/src',
    'schemas/src',
    'schemas/avro',
    'schemas/generated',
  ]) {
    for (const file of filesBelow(join(root, folder)))
      digest
        .update(`${relative(root, file)}\0`)
        .update(readFileSync(file))
        .update('\0')
  }
  const hex = digest.digest('hex')
  digests.set(service, hex)
  return hex
}

const filesBelow = (folder: string): string[] => {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
}
