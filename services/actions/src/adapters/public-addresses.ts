// Where webhooks may go: to the open internet, and to those hosts of the plant that a setting names. The address is judged as the
// connection is made, so a name that resolves anew to something private (DNS rebinding) is refused like the rest.

import { lookup as systemLookup } from 'node:dns'
import type { LookupAddress, LookupOptions } from 'node:dns'
import { BlockList, isIP } from 'node:net'
import type { LookupFunction } from 'node:net'

/** Not for the open internet: IANA's special-purpose registries (RFC 6890 and its updates), multicast, and IPv4 inside of IPv6. */
const PRIVATE: readonly (readonly [string, number, 'ipv4' | 'ipv6'])[] = [
  ['0.0.0.0', 8, 'ipv4'],
  ['10.0.0.0', 8, 'ipv4'],
  ['100.64.0.0', 10, 'ipv4'],
  ['127.0.0.0', 8, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.0.0.0', 24, 'ipv4'],
  ['192.0.2.0', 24, 'ipv4'],
  ['192.88.99.0', 24, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['198.18.0.0', 15, 'ipv4'],
  ['198.51.100.0', 24, 'ipv4'],
  ['203.0.113.0', 24, 'ipv4'],
  ['224.0.0.0', 3, 'ipv4'],
  ['::', 96, 'ipv6'],
  ['::ffff:0:0', 96, 'ipv6'],
  ['64:ff9b::', 96, 'ipv6'],
  ['64:ff9b:1::', 48, 'ipv6'],
  ['100::', 64, 'ipv6'],
  ['2001::', 23, 'ipv6'],
  ['2001:db8::', 32, 'ipv6'],
  ['2002::', 16, 'ipv6'],
  ['3fff::', 20, 'ipv6'],
  ['5f00::', 16, 'ipv6'],
  ['fc00::', 7, 'ipv6'],
  ['fe80::', 10, 'ipv6'],
  ['ff00::', 8, 'ipv6'],
]

const blocked = { ipv4: new BlockList(), ipv6: new BlockList() }
for (const [net, prefix, family] of PRIVATE) blocked[family].addSubnet(net, prefix, family)

/** False for loopback, plant networks, link-local (cloud metadata) and everything else that is nobody's on the internet. */
export const isPublic = (address: string): boolean => {
  const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
  return isIP(address) !== 0 && !blocked[family].check(address, family)
}

const PORTS = new Set(['', '80', '443'])

export interface Guard {
  /** What speaks against this URL before anything is resolved; null when nothing does. */
  objection(url: URL): string | null
  /** For the connection: only addresses that may be used come back. */
  readonly lookup: LookupFunction
}

export type Lookup = (
  host: string,
  options: LookupOptions & { readonly all: true },
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

const bare = (hostname: string): string => hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase()

/** `allowed`: hosts as URLs name them, that may be private and use any port. */
export const guardOf = (allowed: readonly string[], lookup: Lookup = systemLookup): Guard => {
  const isAllowed = (host: string): boolean => allowed.some((one) => one.toLowerCase() === bare(host))
  return {
    objection({ protocol, hostname, port, username, password }) {
      if (protocol !== 'http:' && protocol !== 'https:') return `${protocol} is no way to deliver: use https`
      if (username !== '' || password !== '') return 'a user or password in the URL is not sent'
      if (isAllowed(hostname)) return null
      if (isIP(bare(hostname)) !== 0 && !isPublic(bare(hostname))) return refusal(bare(hostname))
      return PORTS.has(port) ? null : `port ${port} of a host that ACTIONS_WEBHOOK_ALLOW does not name; 80 and 443 are open to all`
    },
    lookup(host, options, done) {
      lookup(host, { ...options, all: true }, (error, addresses) => {
        if (error) return done(error, [], 0)
        const usable = isAllowed(host) ? addresses : addresses.filter(({ address }) => isPublic(address))
        const [first] = usable
        if (!first) return done(new Error(refusal(`${host} (${addresses.map(({ address }) => address).join(', ')})`)), [], 0)
        if (options.all) return done(null, usable)
        return done(null, first.address, first.family)
      })
    },
  }
}

const refusal = (host: string): string => `${host} is no address of the open internet and ACTIONS_WEBHOOK_ALLOW does not name it`
