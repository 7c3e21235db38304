// Uploads by clients that are not ours: tus-js-client, curl and OpenSSH's sftp against the real process.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import * as tus from 'tus-js-client'
import { until } from '../until.ts'
import { openIngestProcess } from '../ingest-process.ts'
import type { IngestProcess } from '../ingest-process.ts'

const run = promisify(execFile)
let ingest: IngestProcess
let url: string
const authorization = 'Bearer loader-token'

before(
  async () => {
    ingest = await openIngestProcess('http,tus,sftp', { INGEST_UPLOAD_MAX_BYTES: '2000000', INGEST_UPLOAD_QUOTA_BYTES: '3000000' })
    url = `http://127.0.0.1:${ingest.ports.http}/v1/files`
    await mkdir(ingest.sftpKeys)
    for (const user of ['loader', 'stranger']) await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(ingest.folder, user)])
    await writeFile(join(ingest.sftpKeys, 'loader'), await readFile(join(ingest.folder, 'loader.pub')))
    await ingest.start()
  },
  { timeout: 180_000 },
)
after(() => ingest?.stop(), { timeout: 60_000 })

const startMs = Date.parse('2026-11-18T11:06:40Z')
const csv = (rows: number, seed: number): Buffer => {
  const lines = Array.from({ length: rows }, (_, row) => `${new Date(startMs + row * 1000).toISOString()},oven,${(row % 50) + seed}`)
  return Buffer.from(`time,asset,temperatureC\n${lines.join('\n')}\n`)
}

const tusHeaders = { authorization, 'tus-resumable': '1.0.0' }
const create = (body: Buffer, headers: Record<string, string> = {}) =>
  fetch(url, { method: 'POST', headers: { ...tusHeaders, 'upload-length': String(body.length), ...named('upload.csv'), ...headers } })
const named = (name: string) => ({ 'upload-metadata': `filename ${Buffer.from(name).toString('base64')}` })
const patch = (id: string, offset: number, body: Buffer, headers: Record<string, string> = {}) =>
  fetch(`${url}/${id}`, {
    method: 'PATCH',
    headers: { ...tusHeaders, 'upload-offset': String(offset), 'content-type': 'application/offset+octet-stream', ...headers },
    body: new Uint8Array(body),
  })
const idOf = (response: Response): string => response.headers.get('location')?.split('/').at(-1) ?? ''

const manifestOf = async (id: string): Promise<Record<string, unknown>> => {
  let found: Record<string, unknown> = {}
  await until(async () => {
    const response = await fetch(`${url}/${id}/manifest`, { headers: { authorization } })
    found = (await response.json()) as Record<string, unknown>
    const status = (await (await fetch(`${url}/${id}/status`, { headers: { authorization } })).json()) as { state: string }
    return response.ok && status.state === 'done'
  }, `${id} is imported`)
  return found
}

test('tus-js-client: an upload that is cut off goes on where it was, and every row is imported', { timeout: 120_000 }, async () => {
  const body = csv(20_000, 1)
  let attempts = 0
  const uploaded = await new Promise<string>((resolve, reject) => {
    const upload = new tus.Upload(body, {
      endpoint: url,
      headers: { authorization },
      metadata: { filename: 'C:\\exports\\..\\oven.csv' },
      chunkSize: 100_000,
      retryDelays: [0, 100],
      onError: reject,
      onProgress: (sent) => {
        if (sent < body.length / 2 || attempts > 0) return
        attempts++
        void upload.abort().then(() => upload.start())
      },
      onSuccess: () => resolve(upload.url ?? ''),
    })
    upload.start()
  })
  assert.equal(attempts, 1)
  const id = uploaded.split('/').at(-1)!
  const manifest = await manifestOf(id)
  assert.deepEqual(
    [manifest['outcome'], manifest['rows'], manifest['accepted'], manifest['name'], manifest['by']],
    ['applied', 20_000, 20_000, 'oven.csv', 'principal p-loader'],
  )
  assert.equal(manifest['sha256'], createHash('sha256').update(body).digest('hex'))
  const head = await fetch(`${url}/${id}`, { method: 'HEAD', headers: tusHeaders })
  assert.deepEqual([head.status, head.headers.get('upload-offset')], [200, String(body.length)])
})

test('a chunk without the digest that came with it is not kept', { timeout: 60_000 }, async () => {
  const body = csv(10, 2)
  const id = idOf(await create(body))
  const digest = (algorithm: string, bytes: Buffer) => `${algorithm} ${createHash(algorithm).update(bytes).digest('base64')}`
  const wrong = await patch(id, 0, body, { 'upload-checksum': digest('sha1', Buffer.from('else')) })
  assert.deepEqual([wrong.status, ((await wrong.json()) as { code: string }).code], [460, 'ANDON_INGEST_CHECKSUM'])
  const unknown = await patch(id, 0, body, { 'upload-checksum': 'crc9 AAAA' })
  assert.equal(unknown.status, 400)
  const head = await fetch(`${url}/${id}`, { method: 'HEAD', headers: tusHeaders })
  assert.equal(head.headers.get('upload-offset'), '0')
  assert.equal((await patch(id, 0, body, { 'upload-checksum': digest('sha256', body) })).status, 204)
  assert.equal((await manifestOf(id))['accepted'], 10)
})

test('parts are joined into one file, which is imported once', { timeout: 60_000 }, async () => {
  const body = csv(30, 3)
  const [head, tail] = [body.subarray(0, 333), body.subarray(333)]
  const parts: string[] = []
  for (const part of [head, tail]) {
    const id = idOf(await create(part, { 'upload-concat': 'partial' }))
    assert.equal((await patch(id, 0, part)).status, 204)
    parts.push(id)
  }
  const headers = { ...tusHeaders, ...named('joined.csv'), 'upload-concat': `final;/v1/files/${parts[0]} /v1/files/${parts[1]}` }
  const joined = await fetch(url, { method: 'POST', headers })
  assert.equal(joined.status, 201)
  assert.equal((await manifestOf(idOf(joined)))['rows'], 30)
  assert.equal((await fetch(`${url}/${parts[0]}`, { method: 'HEAD', headers: tusHeaders })).status, 404)
})

test('who may do what: nobody without a token, the role ingest, and only the sender sees an upload', { timeout: 60_000 }, async () => {
  const body = csv(5, 4)
  const id = idOf(await create(body))
  assert.equal((await create(body, { authorization: '' })).status, 401)
  assert.equal((await create(body, { authorization: 'Bearer viewer-token' })).status, 403)
  for (const path of ['', '/status', '/manifest']) {
    const method = path === '' ? 'HEAD' : 'GET'
    const other = await fetch(`${url}/${id}${path}`, { method, headers: { ...tusHeaders, authorization: 'Bearer other-token' } })
    assert.equal(other.status, 404, path)
  }
  assert.equal((await patch(id, 0, body, { authorization: 'Bearer other-token' })).status, 404)
  const gone = await fetch(`${url}/${id}`, { method: 'DELETE', headers: tusHeaders })
  assert.equal(gone.status, 204)
  assert.equal((await patch(id, 0, body)).status, 404)
})

test('what is too long, too much, out of place or no name of a file is refused with its code', { timeout: 60_000 }, async () => {
  const codeOf = async (response: Response) => [response.status, ((await response.json()) as { code: string }).code]
  const long = await fetch(url, { method: 'POST', headers: { ...tusHeaders, 'upload-length': '2000001', ...named('a.csv') } })
  assert.equal(long.status, 413)
  const open: string[] = []
  for (let at = 0; at < 2; at++) {
    const response = await fetch(url, { method: 'POST', headers: { ...tusHeaders, 'upload-length': '1400000', ...named('a.csv') } })
    assert.equal(response.status, 201)
    open.push(idOf(response))
  }
  const full = await fetch(url, { method: 'POST', headers: { ...tusHeaders, 'upload-length': '1400000', ...named('a.csv') } })
  assert.deepEqual(await codeOf(full), [413, 'ANDON_INGEST_UPLOAD_QUOTA'])
  assert.equal((await patch(open[0]!, 10, Buffer.from('x'))).status, 409)
  assert.equal((await patch('../../etc/passwd', 0, Buffer.from('x'))).status, 404)
  assert.equal((await patch('%2e%2e%2fx', 0, Buffer.from('x'))).status, 404)
  for (const id of open) await fetch(`${url}/${id}`, { method: 'DELETE', headers: tusHeaders })
  assert.deepEqual(await codeOf(await create(csv(1, 0), named('x.csv.part'))), [400, 'ANDON_INGEST_UPLOAD'])
  assert.equal((await create(csv(1, 0), { 'upload-concat': 'final;/v1/files/00' })).status, 404)
})

test('curl: create and send in one request', { timeout: 60_000 }, async () => {
  const body = csv(7, 5)
  const file = join(ingest.folder, 'curl.csv')
  await writeFile(file, body)
  const metadata = `upload-metadata: ${named('curl.csv')['upload-metadata']}`
  const sent = [`authorization: ${authorization}`, 'tus-resumable: 1.0.0', `upload-length: ${body.length}`, metadata]
  const headers = [...sent, 'content-type: application/offset+octet-stream'].flatMap((header) => ['-H', header])
  const { stdout } = await run('curl', ['-s', '-i', '-X', 'POST', url, ...headers, '--data-binary', `@${file}`])
  const id = /location: \/v1\/files\/(\w+)/i.exec(stdout)?.[1]
  assert.ok(id !== undefined, stdout)
  assert.equal((await manifestOf(id))['rows'], 7)
})

/** OpenSSH's sftp with a batch of commands; gives what it said, and its exit code. */
const sftp = (commands: readonly string[], key = 'loader', user = 'loader', extra: readonly string[] = []) =>
  new Promise<{ code: number | null; said: string }>((resolve) => {
    const options = [
      '-o',
      'StrictHostKeyChecking=no',
      '-o',
      `UserKnownHostsFile=${join(ingest.folder, 'known')}`,
      '-o',
      'IdentitiesOnly=yes',
      '-o',
      'IdentityAgent=none',
    ]
    const args = [
      '-q',
      '-b',
      '-',
      '-P',
      String(ingest.ports.sftp),
      '-i',
      join(ingest.folder, key),
      ...options,
      ...extra,
      `${user}@127.0.0.1`,
    ]
    const child = spawn('sftp', args, { stdio: ['pipe', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (said += bytes.toString()))
    child.once('close', (code) => resolve({ code, said }))
    child.stdin.on('error', () => undefined)
    setTimeout(() => child.kill(), 20_000).unref()
    child.stdin.end(`${commands.join('\n')}\n`)
  })

test('OpenSSH sftp: write to .part, rename, and the file is imported', { timeout: 120_000 }, async () => {
  await chmod(join(ingest.folder, 'loader'), 0o600)
  const body = csv(3000, 6)
  const file = join(ingest.folder, 'export.csv')
  await writeFile(file, body)
  const put = await sftp([`put ${file} export.csv.part`, 'rename export.csv.part export.csv', 'ls -l'])
  assert.equal(put.code, 0, put.said)
  const digest = createHash('sha256').update(body).digest('hex')
  await until(async () => (await ingest.telemetry()).some(({ manifest }) => manifest?.sha256 === digest), 'the manifest is on the log')
  const manifest = (await ingest.telemetry()).find(({ manifest: each }) => each?.sha256 === digest)?.manifest
  assert.deepEqual([manifest?.by, manifest?.door, manifest?.accepted, manifest?.name], ['sftp loader', 'sftp', 3000, 'export.csv'])
})

test('SFTP takes no other key, no password, no path out, no finished name, no shell and no forwarding', { timeout: 120_000 }, async () => {
  const file = join(ingest.folder, 'small.csv')
  await writeFile(file, csv(1, 7))
  assert.notEqual((await sftp(['ls'], 'stranger')).code, 0)
  assert.notEqual((await sftp(['ls'], 'loader', 'nobody')).code, 0)
  assert.notEqual((await sftp(['ls'], 'loader', '../loader')).code, 0)
  for (const target of ['small.csv', '../../small.csv.part', '/etc/cron.d/x.part', 'a/b.part', '.hidden.part']) {
    const { code, said } = await sftp([`put ${file} ${target}`])
    if (target === '../../small.csv.part') assert.equal(code, 0, said) // there is nothing above /
    else assert.notEqual(code, 0, `${target}: ${said}`)
  }
  assert.match((await sftp(['ls'])).said, /small\.csv\.part/)
  assert.notEqual((await sftp(['get small.csv.part /dev/null'])).code, 0)
  assert.notEqual((await sftp(['symlink /etc/passwd x.part'])).code, 0)
  assert.notEqual((await sftp(['mkdir x'])).code, 0)
  assert.equal((await sftp(['rm small.csv.part'])).code, 0)
  const ssh = [
    '-q',
    '-p',
    String(ingest.ports.sftp),
    '-i',
    join(ingest.folder, 'loader'),
    '-o',
    'StrictHostKeyChecking=no',
    '-o',
    'UserKnownHostsFile=/dev/null',
    '-o',
    'IdentityAgent=none',
  ]
  await assert.rejects(run('ssh', [...ssh, 'loader@127.0.0.1', 'id'], { timeout: 20_000 }))
  await assert.rejects(
    run('ssh', [...ssh, '-o', 'ExitOnForwardFailure=yes', '-W', `127.0.0.1:${ingest.ports.admin}`, 'loader@127.0.0.1'], {
      timeout: 20_000,
    }),
  )
})

test('a file larger than the limit stops the SFTP upload', { timeout: 60_000 }, async () => {
  const file = join(ingest.folder, 'large.csv')
  await writeFile(file, Buffer.alloc(2_500_000, 0x31))
  assert.notEqual((await sftp([`put ${file} large.part`])).code, 0)
  assert.equal((await sftp(['rm large.part'])).code, 0)
})
