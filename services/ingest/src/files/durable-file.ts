// A file, written whole or not at all.

import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Readable } from 'node:stream'
import { syncFolder } from '@andon/kit'

/** When it resolves, the file has this content and survives a power loss. */
export const writeFileDurably = async (path: string, content: Uint8Array | string | Readable, mode = 0o644): Promise<void> => {
  const handle = await open(`${path}.new`, 'w', mode)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(`${path}.new`, path)
  await syncFolder(dirname(path))
}
