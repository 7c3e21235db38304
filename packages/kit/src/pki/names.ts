// The names in certificates. A device is urn:andon:<site>:<device>; a claim certificate names the device it may become,
// under a name of its own, so that neither passes for the other.

/** What a device may be called: letters, digits and . _ -, at most 64. */
export const DEVICE_ID: RegExp = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

export interface CertifiedName {
  readonly kind: 'device' | 'claim'
  readonly site: string
  readonly deviceId: string
}

const PREFIX = { device: 'urn:andon', claim: 'urn:andon-claim' } as const

export const uriOf = ({ kind, site, deviceId }: CertifiedName): string => `${PREFIX[kind]}:${site}:${deviceId}`

/** Undefined when the text is not such a name. */
export const nameOf = (uri: string): CertifiedName | undefined => {
  const match = /^urn:(andon|andon-claim):([a-z0-9-]{1,64}):([^:]+)$/.exec(uri)
  if (!match || !DEVICE_ID.test(match[3]!)) return undefined
  return { kind: match[1] === 'andon' ? 'device' : 'claim', site: match[2]!, deviceId: match[3]! }
}
