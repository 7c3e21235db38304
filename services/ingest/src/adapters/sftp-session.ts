// SFTP requests of one user → operations on the user's root. Everything that is not listed here the library answers with "unsupported".

import type { FileHandle } from 'node:fs/promises'
import { codeOf } from '@andon/kit'
import type { Logger } from '@andon/kit'
import ssh2 from 'ssh2'
import type { Attributes, SFTPWrapper } from 'ssh2'
import { SftpRefusal } from './sftp-root.ts'
import type { SftpEntry, SftpRoot } from './sftp-root.ts'

const { STATUS_CODE, OPEN_MODE } = ssh2.utils.sftp
const mostHandles = 16
const folderMode = 0o40700
const fileMode = 0o100600

type Handle =
  | {
      readonly file: FileHandle
      readonly release: () => void
      checkedBytes: number
      /** Why a write failed. Clients go by the answer that comes last, so it is that of every further write, and of the close. */
      failure: unknown
    }
  | { readonly listing: SftpEntry[]; isRead: boolean }

/** How many bytes may be written before the quota is looked at again. */
const checkEveryBytes = 8 * 1024 * 1024

/** Serves a session until it ends; resolves when its files are closed. */
export const serveSftp = (sftp: SFTPWrapper, root: SftpRoot, logger: Logger): { close(): Promise<void> } => {
  const handles = new Map<number, Handle>()
  let last = 0

  const respond = (id: number, work: () => Promise<void>): void => {
    work().catch((error: unknown) => {
      if (!(error instanceof SftpRefusal)) logger.error({ err: error }, 'an SFTP request failed')
      const message = error instanceof SftpRefusal ? error.message : `the disk failed: ${codeOf(error) ?? 'unknown'}`
      sftp.status(id, STATUS_CODE[error instanceof SftpRefusal ? error.status : 'FAILURE'], message)
    })
  }
  const ok = (id: number): void => sftp.status(id, STATUS_CODE.OK)
  const handleOf = (bytes: Buffer): Handle => {
    const handle = bytes.length === 4 ? handles.get(bytes.readUInt32BE(0)) : undefined
    if (handle === undefined) throw new SftpRefusal('FAILURE', 'No such handle')
    return handle
  }
  const give = (id: number, handle: Handle): void => {
    handles.set(++last, handle)
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(last)
    sftp.handle(id, bytes)
  }
  const checkHandles = (): void => {
    if (handles.size >= mostHandles) throw new SftpRefusal('FAILURE', `${handles.size} files are open; close some of them`)
  }

  sftp.on('REALPATH', (id, path) =>
    respond(id, async () => {
      const filename = root.canonical(path)
      sftp.name(id, [{ filename, longname: filename, attrs: attributesOf(undefined) }])
    }),
  )
  const stat = (id: number, path: string): void => respond(id, async () => sftp.attrs(id, attributesOf(await root.stat(path))))
  sftp.on('STAT', stat)
  sftp.on('LSTAT', stat)
  sftp.on('FSTAT', (id, handle) =>
    respond(id, async () => {
      const found = handleOf(handle)
      if ('listing' in found) return sftp.attrs(id, attributesOf(undefined))
      const { size, mtimeMs } = await found.file.stat()
      sftp.attrs(id, attributesOf({ name: '', size, mtimeMs }))
    }),
  )
  // Times and modes are the sender's; none of them is kept.
  sftp.on('SETSTAT', (id, path) =>
    respond(id, async () => {
      await root.stat(path)
      ok(id)
    }),
  )
  sftp.on('FSETSTAT', (id, handle) =>
    respond(id, async () => {
      handleOf(handle)
      ok(id)
    }),
  )
  sftp.on('OPENDIR', (id, path) =>
    respond(id, async () => {
      checkHandles()
      if (root.canonical(path) !== '/') throw new SftpRefusal('NO_SUCH_FILE', 'There is one folder, /')
      give(id, { listing: await root.list(), isRead: false })
    }),
  )
  sftp.on('READDIR', (id, handle) =>
    respond(id, async () => {
      const found = handleOf(handle)
      if (!('listing' in found)) throw new SftpRefusal('FAILURE', 'No folder')
      if (found.isRead || found.listing.length === 0) return sftp.status(id, STATUS_CODE.EOF)
      found.isRead = true
      const names = found.listing.map((entry) => ({ filename: entry.name, longname: longNameOf(entry), attrs: attributesOf(entry) }))
      sftp.name(id, names)
    }),
  )
  sftp.on('OPEN', (id, path, flags) =>
    respond(id, async () => {
      checkHandles()
      if ((flags & OPEN_MODE.READ) !== 0 && (flags & OPEN_MODE.WRITE) === 0)
        throw new SftpRefusal('PERMISSION_DENIED', 'Files are only taken, not given')
      if ((flags & OPEN_MODE.APPEND) !== 0) throw new SftpRefusal('OP_UNSUPPORTED', 'Write at a place, not at the end')
      await root.checkQuota()
      const opened = await root.open(path, { isNew: (flags & OPEN_MODE.EXCL) !== 0, isTruncated: (flags & OPEN_MODE.TRUNC) !== 0 })
      give(id, { ...opened, checkedBytes: 0, failure: undefined })
    }),
  )
  sftp.on('WRITE', (id, handle, offset, data) =>
    respond(id, async () => {
      const found = handleOf(handle)
      if ('listing' in found) throw new SftpRefusal('FAILURE', 'No file')
      if (found.failure !== undefined) throw found.failure
      try {
        const end = offset + data.length
        root.checkLength(end)
        if (end > found.checkedBytes) {
          found.checkedBytes = end + checkEveryBytes
          await root.checkQuota()
        }
        for (let at = 0; at < data.length;) at += (await found.file.write(data, at, data.length - at, offset + at)).bytesWritten
      } catch (error) {
        found.failure = error
        throw error
      }
      ok(id)
    }),
  )
  sftp.on('CLOSE', (id, bytes) =>
    respond(id, async () => {
      const handle = handleOf(bytes)
      handles.delete(bytes.readUInt32BE(0))
      if ('file' in handle) {
        try {
          await handle.file.datasync()
        } finally {
          await handle.file.close()
          handle.release()
        }
        if (handle.failure !== undefined) throw handle.failure
      }
      ok(id)
    }),
  )
  sftp.on('REMOVE', (id, path) =>
    respond(id, async () => {
      await root.remove(path)
      ok(id)
    }),
  )
  sftp.on('RENAME', (id, from, to) =>
    respond(id, async () => {
      await root.rename(from, to)
      ok(id)
    }),
  )

  return {
    close: async () => {
      const open = [...handles.values()]
      handles.clear()
      for (const handle of open) {
        if (!('file' in handle)) continue
        await handle.file.close().catch(() => undefined)
        handle.release()
      }
    },
  }
}

const attributesOf = (entry: SftpEntry | undefined): Attributes => {
  const mtime = Math.floor((entry?.mtimeMs ?? 0) / 1000)
  return { mode: entry === undefined ? folderMode : fileMode, uid: 0, gid: 0, size: entry?.size ?? 0, atime: mtime, mtime }
}

const longNameOf = ({ name, size }: SftpEntry): string => `-rw------- 1 andon andon ${size} Jan 1 00:00 ${name}`
