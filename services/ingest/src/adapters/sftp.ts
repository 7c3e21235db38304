// SFTP door: users with a public key put files into a folder of their own; a rename to a finished name hands a file to the importer. There is
// no shell, no command, no forwarding and no password.

import { timingSafeEqual } from 'node:crypto'
import { mkdir, readFile, readdir, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { AndonError, codeOf, env, portDefault } from '@andon/kit'
import type { Logger } from '@andon/kit'
import ssh2 from 'ssh2'
import type { AuthContext, Connection, ParsedKey, Server } from 'ssh2'
import { defineDoor } from '../doors.ts'
import { writeFileDurably } from '../files/durable-file.ts'
import { importerOf } from '../files/importer.ts'
import type { Importer } from '../files/importer.ts'
import { SftpRoot, parseCommittedName } from './sftp-root.ts'
import type { SftpLimits } from './sftp-root.ts'
import { serveSftp } from './sftp-session.ts'
import { isSshKey, newSshKeys } from './ssh-keys.ts'
import { uploadSettings } from '../files/upload-settings.ts'
import type { Source } from './source.ts'

export const sftpDoorKind = defineDoor({
  name: 'sftp',
  about: 'CSV and Parquet files by SFTP, users by public key',
  settings: {
    port: env.port('INGEST_SFTP_PORT', 'Port of the SFTP door', portDefault('ingest', 'sftp')),
    keysFolder: env.path(
      'INGEST_SFTP_KEYS',
      'Folder with one file of authorized public keys per user, named as the user',
      '.andon/sftp-keys',
    ),
    ...uploadSettings,
  },
  open: (settings, context) => {
    const { config, logger } = context
    const folder = join(config.dataDir, 'ingest', config.instance, 'sftp')
    return sftpDoor({ ...settings, host: config.host, folder, importer: importerOf(context), logger })
  },
})

export interface SftpDoorOptions extends SftpLimits {
  readonly host: string
  readonly port: number
  readonly keysFolder: string
  /** Host key and the users' unfinished files. */
  readonly folder: string
  readonly importer: Importer
  readonly logger: Logger
}

const userForm = /^[a-z0-9][a-z0-9_-]{0,31}$/
const mostConnections = 64
const loginMs = 20_000
const idleMs = 600_000
const expiryCheckMs = 60_000

const algorithms = {
  kex: ['curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256', 'ecdh-sha2-nistp384'],
  cipher: ['chacha20-poly1305@openssh.com', 'aes256-gcm@openssh.com', 'aes128-gcm@openssh.com', 'aes256-ctr'],
  hmac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'],
  serverHostKey: ['ssh-ed25519'],
  compress: ['none'],
} as const

export const sftpDoor = (options: SftpDoorOptions): Source & { port(): number } => {
  const { importer, logger, folder, keysFolder } = options
  const roots = new Map<string, SftpRoot>()
  const connections = new Set<Connection>()
  let server: Server | undefined
  let incoming = ''
  let timer: NodeJS.Timeout | undefined
  let port = options.port

  const rootOf = async (user: string): Promise<SftpRoot> => {
    let root = roots.get(user)
    if (root === undefined) roots.set(user, (root = new SftpRoot(user, join(folder, 'users', user), incoming, options, importer)))
    await root.prepare()
    return root
  }

  /** Undefined when the user is not let in. Everything is ready for requests before a login is answered. */
  const rootFor = async (context: AuthContext): Promise<SftpRoot | undefined> =>
    (await isKnown(context, keysFolder)) ? rootOf(context.username) : undefined

  const connected = (connection: Connection): void => {
    if (connections.size >= mostConnections) return void connection.end()
    connections.add(connection)
    let root: SftpRoot | undefined
    const login = setTimeout(() => connection.end(), loginMs)
    let idle: NodeJS.Timeout | undefined
    const alive = (): void => {
      clearTimeout(idle)
      idle = setTimeout(() => connection.end(), idleMs)
    }
    connection.on('authentication', (context) => {
      rootFor(context).then(
        (known) => {
          if (known === undefined) return context.reject(['publickey'])
          root = known
          context.accept()
        },
        (error: unknown) => {
          logger.warn({ err: error }, 'the keys or the folder of an SFTP user cannot be used')
          context.reject(['publickey'])
        },
      )
    })
    connection.on('ready', () => {
      clearTimeout(login)
      alive()
      connection.on('session', (accept) => {
        const session = accept()
        session.on('sftp', (acceptSftp) => {
          const sftp = acceptSftp()
          const served = serveSftp(sftp, root!, logger) // in this turn: a client's first request may be here already
          for (const event of ['WRITE', 'OPEN', 'REALPATH', 'STAT'] as const) sftp.on(event, alive)
          const close = (): void => void served.close() // it never rejects
          sftp.on('end', () => sftp.end()) // a client waits for this end of its channel
          sftp.on('close', close)
          connection.on('close', close)
        })
      })
    })
    connection.on('error', () => connection.end()) // a client that breaks the protocol or hangs up
    connection.on('close', () => {
      clearTimeout(login)
      clearTimeout(idle)
      connections.delete(connection)
    })
  }

  const expire = async (): Promise<void> => {
    for (const user of await readdir(join(folder, 'users'))) await (await rootOf(user)).expire()
  }

  return {
    name: 'sftp',
    port: () => port,
    ready: () => server !== undefined || 'not listening',
    start: async (intake, refusing) => {
      await mkdir(join(folder, 'users'), { recursive: true, mode: 0o700 })
      incoming = (await importer.open('sftp', ({ path }) => rm(path, { force: true }))).incoming
      // Committed by a process that ended before it queued them.
      const known = new Set(importer.waiting('sftp').map(({ id }) => id))
      for (const file of await readdir(incoming)) {
        const committed = parseCommittedName(file)
        if (committed === undefined || known.has(committed.id)) continue
        const { id, user, name } = committed
        await importer.submit({ door: 'sftp', by: `sftp ${user}`, name }, join(incoming, file), id)
      }
      importer.begin(intake, refusing)
      const hostKey = await hostKeyOf(join(folder, 'host-key'), logger)
      server = new ssh2.Server({ hostKeys: [hostKey], algorithms: algorithms as never, ident: 'andon' }, connected)
      port = await listen(server, options)
      timer = setInterval(() => void expire().catch((error: unknown) => logger.warn({ err: error }, 'expired uploads stay')), expiryCheckMs)
      timer.unref()
    },
    stop: async () => {
      if (server === undefined) return
      clearInterval(timer)
      const closed = new Promise<void>((resolve) => server!.close(() => resolve()))
      for (const connection of connections) connection.end()
      await closed
      server = undefined
      await importer.end()
    },
  }
}

/** Only a signature by one of the user's keys lets a user in; the keys are read at every login, so that a removed one is out at once. */
const isKnown = async (context: AuthContext, keysFolder: string): Promise<boolean> => {
  if (context.method !== 'publickey' || !userForm.test(context.username)) return false
  const keys = await keysOf(join(keysFolder, context.username))
  const key = keys.find((candidate) => {
    const known = candidate.getPublicSSH()
    return (
      candidate.type === context.key.algo.replace(/^rsa-sha2-(256|512)$/, 'ssh-rsa') &&
      known.length === context.key.data.length &&
      timingSafeEqual(known, context.key.data)
    )
  })
  if (key === undefined) return false
  if (context.signature === undefined || context.blob === undefined) return true // the client asks whether it should sign
  return key.verify(context.blob, context.signature, context.hashAlgo) === true
}

const keysOf = async (file: string): Promise<ParsedKey[]> => {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return ''
    throw error
  })
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  return lines.map((line) => ssh2.utils.parseKey(line)).filter((key): key is ParsedKey => !(key instanceof Error))
}

/** Made once; a client that has seen it knows this instance again. */
const hostKeyOf = async (path: string, logger: Logger): Promise<string> => {
  try {
    const key = await readFile(path, 'utf8')
    if (isSshKey(key)) return key
    logger.warn({ path }, 'the host key cannot be read, so no client has ever seen it: another one is made')
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
  const { private: key } = newSshKeys()
  await writeFileDurably(path, key, 0o600)
  return key
}

const listen = (server: Server, { host, port }: SftpDoorOptions): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', (error: unknown) => {
      reject(
        new AndonError(
          'ANDON_INGEST_SFTP_PORT',
          `INGEST_SFTP_PORT: cannot listen on ${host}:${port} (${codeOf(error) ?? String(error)}). Give the door another port`,
          { cause: error },
        ),
      )
    })
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port))
  })
