// `andon up --secure`: an authority of its own, ingest behind TLS, and a device from its claim to its revocation with the commands of the docs.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { homeAt } from '@andon/platform'
import { andon, freeOffset } from './command.ts'

const run = promisify(execFile)
const OFFSET = await freeOffset()
const folder = mkdtempSync(join(tmpdir(), 'andon-secure-'))
const home = homeAt(join(folder, 'home'))
const environment = { ANDON_HOME: home.root, ANDON_PORT_OFFSET: String(OFFSET) }
const plant = join(import.meta.dirname, '../../../examples/steel-plant')
const rest = ['--listen', '127.0.0.1', '--without', 'features', 'inference', 'clustering', 'video', 'console']
after(async () => {
  await andon(['down'], environment)
  rmSync(folder, { recursive: true, force: true })
})

const works = async (...args: string[]): Promise<string> => {
  const { code, out, err } = await andon(args, environment)
  assert.equal(code, 0, `andon ${args.join(' ')}\n${out}${err}`)
  return out
}
const sh = async (script: string): Promise<string> => (await run('bash', ['-euo', 'pipefail', '-c', script], { cwd: folder })).stdout

test('secure mode asks for a site first, and does not run the demo', async () => {
  const nowhere = await andon(['up', '--secure', ...rest], environment)
  assert.deepEqual([nowhere.code, /\[ANDON_SITE_UNKNOWN\]|--plant <folder> or --site <id>/.test(nowhere.err)], [1, true], nowhere.err)
  const demo = await andon(['up', '--secure', '--demo'], environment)
  assert.match(demo.err, /hold tokens, not certificates/)
})

test('it says which mode it is in; keys are for this user only', async () => {
  const out = await works('up', '--secure', '--plant', plant, '--detach', ...rest)
  assert.match(out, /SECURE MODE, site nordhafen: ingest takes TLS on 127\.0\.0\.1/)
  assert.match(out, /Take root\.key off this machine/)
  assert.match(out, new RegExp(`ingest +https://localhost:${7071 + OFFSET}/v1/telemetry`))
  for (const name of ['root.key', 'site.key', 'door.key']) assert.equal(statSync(join(home.pki, name)).mode & 0o077, 0, name)
})

test('a device is claimed, enrols, is approved, sends, and is revoked', async () => {
  const device = 'press-1-plc'
  assert.match(await works('devices', 'ls'), /No devices/)
  const told = await works('devices', 'enroll', device, '--out', join(folder, 'claim'))
  const commands = told.split('\n').filter((line) => /^ {2,}/.test(line))
  await sh(`cd claim\n${commands.join('\n')}`)
  assert.match(await works('devices', 'ls'), /press-1-plc +pending +- +29d left/)
  const send = `cd claim; curl -sS --cacert ca.pem --cert device.pem --key device.key -H content-type:application/json \
    -d '{"source":"${device}","timeUs":${Date.now()}000,"values":{"temperatureC":41.2}}' https://localhost:${7071 + OFFSET}/v1/telemetry`
  assert.match(await sh(send), /ANDON_INGEST_DEVICE_PENDING/)
  const approved = await works('devices', 'approve', device, '--asset', 'press-1-process', '--reason', 'seen at the press')
  assert.match(approved, /press-1-plc is active; it may feed press-1-process/)
  assert.deepEqual(JSON.parse(await sh(send)), { accepted: 1, duplicates: 0, quarantined: [] })
  assert.match(await works('devices', 'suspend', device), /is suspended/)
  assert.match(await works('devices', 'resume', device), /is active/)
  const refused = await andon(['devices', 'resume', device], environment)
  assert.deepEqual([refused.code, /ANDON_INGEST_DEVICE_STATE/.test(refused.err)], [4, true])
  await works('devices', 'revoke', device, '--reason', 'stolen')
  assert.match(await sh(send), /ANDON_INGEST_DEVICE_REVOKED/)
  assert.match(await works('devices', 'ls'), /press-1-plc +revoked +press-1-process +revoked .* p-operator +stolen/)
  const shown = JSON.parse(await works('devices', 'show', device, '--json')) as { last: { reason: string } }
  assert.equal(shown.last.reason, 'stolen')
})

test('with a request the certificate comes at once', async () => {
  await sh('openssl req -new -newkey rsa:2048 -nodes -keyout m.key -subj /CN=meter-1 -out m.csr 2>/dev/null')
  const out = join(folder, 'meter-1.pem')
  assert.match(await works('devices', 'enroll', 'meter-1', '--csr', join(folder, 'm.csr'), '--out', out), /It is pending/)
  assert.match(await sh(`openssl verify -CAfile ${join(home.pki, 'ca.pem')} -purpose sslclient ${out}`), /OK/)
  assert.equal(readFileSync(out, 'utf8').match(/BEGIN CERTIFICATE/g)?.length, 3)
})

test('another site is refused in this folder; what went before stays', async () => {
  await works('down')
  const { code, err } = await andon(['up', '--secure', '--site', 'elsewhere', ...rest], environment)
  assert.deepEqual([code, /is of site nordhafen, found elsewhere/.test(err)], [1, true], err)
})
