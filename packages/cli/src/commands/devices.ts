// andon devices: who devices are and who let them in, through ingest's door. The door asks, the log decides; keys never pass this way
// but for those of claim certificates, which are good for one enrolment.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '@andon/kit/errors'
import { type Context, CommandError, tokenOf } from '../context.ts'
import { callDoor } from '../door.ts'
import { EXIT } from '../exit.ts'
import { print, table } from '../output.ts'
import type { AsOptions } from './actions.ts'

interface CertificateView {
  readonly sha256: string
  readonly serial: string
  readonly notBeforeUs: number
  readonly notAfterUs: number
  readonly endsUs: number
  readonly state: string
}

interface DeviceView {
  readonly id: string
  readonly site: string
  readonly status: string
  readonly assets: readonly string[]
  readonly enrolledUs: number | null
  readonly approvedUs: number | null
  readonly approvedBy: string | null
  readonly claimExpiresUs: number | null
  /** Newest first. */
  readonly certificates: readonly CertificateView[]
  readonly last: { readonly type: string; readonly atUs: number; readonly by: string; readonly reason: string | null }
}

const urlOf = (context: Context, device = '', verb = ''): string =>
  [`${context.doors.ingest}/v1/devices`, device, verb]
    .filter((part) => part !== '')
    .map((part, i) => (i === 0 ? part : encodeURIComponent(part)))
    .join('/')

const ask = async <T>(context: Context, options: AsOptions, device: string, verb: string, body?: unknown): Promise<T> => {
  const token = tokenOf(context, options.as)
  const method = body === undefined ? 'GET' : 'POST'
  const answer = await callDoor<T>(method, urlOf(context, device, verb), { token, ...(body === undefined ? {} : { body }) })
  return answer.body
}

const DAY_US = 86_400_000_000
/** Order of the table: what waits for somebody first. */
const ORDER = ['pending', 'claimed', 'suspended', 'active', 'revoked', 'retired']

/** `3d`, `5h`, `12m` from now; `-` when it is over. */
const left = (us: number, nowUs: number): string => {
  const rest = us - nowUs
  if (rest <= 0) return 'over'
  if (rest >= 2 * DAY_US) return `${Math.floor(rest / DAY_US)}d`
  return rest >= 3_600_000_000 ? `${Math.floor(rest / 3_600_000_000)}h` : `${Math.ceil(rest / 60_000_000)}m`
}

const day = (us: number | null): string => (us === null ? '-' : new Date(us / 1000).toISOString().slice(0, 16).replace('T', ' '))

const certificateText = ({ certificates, claimExpiresUs, status }: DeviceView, nowUs: number): string => {
  if (status === 'claimed') return claimExpiresUs === null ? '-' : `claim, ${left(claimExpiresUs, nowUs)} left`
  const valid = certificates.filter(({ state }) => state === 'valid')
  const [newest] = valid
  if (!newest) return certificates[0]?.state ?? '-'
  return `${left(newest.endsUs, nowUs)} left${valid.length > 1 ? `, older one ${left(valid[1]!.endsUs, nowUs)}` : ''}`
}

export const listDevices = async (context: Context, options: AsOptions & { all?: boolean }): Promise<void> => {
  const { devices } = await ask<{ devices: readonly DeviceView[] }>(context, options, '', '')
  const nowUs = Date.now() * 1000
  const shown = devices
    .filter(({ status }) => options.all === true || status !== 'retired')
    .toSorted((one, other) => ORDER.indexOf(one.status) - ORDER.indexOf(other.status) || (one.id < other.id ? -1 : 1))
  const rows = shown.map((device) => [
    device.id,
    device.status,
    device.assets.join(', ') || '-',
    certificateText(device, nowUs),
    `${day(device.last.atUs)} ${device.last.by}`,
    device.last.reason ?? '',
  ])
  const waiting = shown.filter(({ status }) => status === 'pending').length
  const hint = waiting === 0 ? '' : `\n${waiting} wait${waiting === 1 ? 's' : ''} for approval: andon devices approve <device> --asset <id>`
  print(options.json === true, { devices: shown }, () =>
    shown.length === 0
      ? 'No devices. Bring one in with `andon devices enroll <device>`.'
      : table([['DEVICE', 'STATUS', 'ASSETS', 'CERTIFICATE', 'LAST CHANGE', 'REASON'], ...rows]) + hint,
  )
}

export const showDevice = async (context: Context, id: string, options: AsOptions): Promise<void> => {
  const device = await ask<DeviceView>(context, options, id, '')
  const nowUs = Date.now() * 1000
  const facts = [
    ['name', `urn:andon:${device.site}:${device.id}`],
    ['status', device.status],
    ['assets', device.assets.join(', ') || '-'],
    ['enrolled', day(device.enrolledUs)],
    ['approved', device.approvedUs === null ? '-' : `${day(device.approvedUs)} by ${device.approvedBy ?? ''}`],
    [
      'last',
      `${device.last.type}, ${day(device.last.atUs)}, by ${device.last.by}${device.last.reason === null ? '' : `: ${device.last.reason}`}`,
    ],
    ...(device.claimExpiresUs === null ? [] : [['claim', `${left(device.claimExpiresUs, nowUs)} left`]]),
  ] as const
  const certificates = device.certificates.map((one) => [one.sha256, one.state, day(one.notBeforeUs), day(one.endsUs)])
  print(
    options.json === true,
    device,
    () =>
      facts.map(([name, value]) => `${name.padEnd(10)} ${value}`).join('\n') +
      (certificates.length === 0 ? '' : `\n\n${table([['CERTIFICATE (SHA-256)', 'STATE', 'FROM', 'COUNTS UNTIL'], ...certificates])}`),
  )
}

interface Claim {
  readonly certificate: string
  readonly key: string
  readonly authorities: string
  readonly expiresUs: number | null
}

interface Enrolled {
  readonly device: DeviceView
  readonly certificate: string
  readonly authorities: string
}

/** With a request: the certificate at once. Without: a claim certificate, with which the device enrols by itself. */
export const enrollDevice = async (context: Context, id: string, options: AsOptions & { csr?: string; out?: string }): Promise<void> => {
  if (options.csr !== undefined) return enrollWithRequest(context, id, options.csr, options)
  const claim = await ask<Claim>(context, options, id, 'claim', {})
  const folder = options.out ?? `${id}-claim`
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = (name: string) => join(folder, name)
  writeFileSync(path('claim.pem'), claim.certificate)
  writeFileSync(path('claim.key'), claim.key, { mode: 0o600 })
  writeFileSync(path('ca.pem'), claim.authorities)
  const expires = claim.expiresUs === null ? '' : ` Good for one enrolment, for ${left(claim.expiresUs, Date.now() * 1000)}.`
  print(options.json === true, { deviceId: id, folder, expiresUs: claim.expiresUs }, () =>
    [
      `Claim of ${id} in ${folder}.${expires}`,
      'On the device, with any EST client, or:',
      `  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout device.key -subj "/CN=${id}" -outform DER -out device.csr`,
      '  base64 device.csr | curl --cacert ca.pem --cert claim.pem --key claim.key -H "content-type: application/pkcs10" \\',
      `    --data-binary @- ${context.doors.ingest}/.well-known/est/simpleenroll | base64 -d | openssl pkcs7 -inform DER -print_certs -out device.pem`,
      `Then: andon devices approve ${id} --asset <id>`,
    ].join('\n'),
  )
}

const enrollWithRequest = async (context: Context, id: string, csrFile: string, options: AsOptions & { out?: string }): Promise<void> => {
  const { device, certificate, authorities } = await ask<Enrolled>(context, options, id, 'enrol', { csr: readText(csrFile) })
  const file = options.out ?? `${id}.pem`
  writeFileSync(file, certificate + authorities)
  print(
    options.json === true,
    { deviceId: id, file, status: device.status },
    () =>
      `Certificate of ${id} in ${file}, with the authorities behind it. It is ${device.status}: andon devices approve ${id} --asset <id>`,
  )
}

const readText = (file: string): string => {
  try {
    const bytes = readFileSync(file)
    return bytes[0] === 0x30 ? bytes.toString('base64') : bytes.toString('utf8')
  } catch (error) {
    throw new CommandError(EXIT.usage, `--csr: expected a certificate request in ${file}: ${messageOf(error)}`)
  }
}

/** Approves exactly the certificate that is the device's newest now. */
export const approveDevice = async (
  context: Context,
  id: string,
  options: AsOptions & { asset: readonly string[]; reason?: string },
): Promise<void> => {
  const before = await ask<DeviceView>(context, options, id, '')
  const certificateSha256 = before.certificates[0]?.sha256
  const { asset: assets, reason } = options
  const device = await ask<DeviceView>(context, options, id, 'approve', { assets, certificateSha256, reason })
  print(
    options.json === true,
    device,
    () => `${id} is ${device.status}; it may feed ${device.assets.join(', ')}. Certificate ${certificateSha256 ?? ''}`,
  )
}

export const DEVICE_MOVES = {
  suspend: 'silence a device until it is resumed; live connections are cut',
  resume: 'let a suspended device speak again',
  revoke: 'refuse a device and all its keys for good, or one certificate; live connections are cut',
  retire: 'end a device for good',
} as const

export const moveDevice = async (
  context: Context,
  verb: keyof typeof DEVICE_MOVES,
  id: string,
  options: AsOptions & { reason?: string; certificate?: string },
): Promise<void> => {
  const { reason, certificate: certificateSha256 } = options
  const device = await ask<DeviceView>(context, options, id, verb, { reason, ...(verb === 'revoke' ? { certificateSha256 } : {}) })
  print(options.json === true, device, () =>
    certificateSha256 === undefined ? `${id} is ${device.status}.` : `A certificate of ${id} is revoked; the device is ${device.status}.`,
  )
}
