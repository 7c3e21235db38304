// What is decided about devices, models, fault modes, evidence and configuration, and who has to agree.

import { canonicalJson, sha256Hex } from '@andon/kit/ids'
import { DEVICE_APPROVERS, DEVICE_ENROLLERS } from '../devices/decide.ts'
import type { Asks, Subject } from './cases.ts'

const HOUR_US = 3_600_000_000
const ENGINEERS: readonly string[] = ['process-engineer', 'shift-lead']

const asks = (roles: readonly string[], needed: number, more: Partial<Asks> = {}): Asks => ({
  needed,
  roles,
  quorum: [],
  exclude: [],
  fourEyes: needed > 0,
  stepUp: false,
  ...more,
})

const hashOf = (change: unknown): string => sha256Hex(canonicalJson(change))

export interface DeviceChange {
  readonly deviceId: string
  readonly to: 'active' | 'suspended' | 'revoked' | 'retired'
  readonly assets: readonly string[]
}

/** A device speaks once somebody other than its enroller agreed; for a whole site two have to. Silencing needs one word. */
export const devices: Subject<DeviceChange> = {
  name: 'devices',
  proposers: DEVICE_ENROLLERS,
  timeToDecideUs: 24 * HOUR_US,
  idOf: ({ deviceId }) => deviceId,
  hashOf,
  asks: ({ to, assets }) => {
    if (to === 'active') return asks(DEVICE_APPROVERS, assets.includes('*') ? 2 : 1)
    return asks(DEVICE_APPROVERS, 1, { fourEyes: to === 'retired' })
  },
  problem: ({ to, assets }, holds) => {
    if (holds?.to === 'retired') return 'The device was retired'
    if (to === 'active' && assets.length === 0) return 'Name the assets it may feed'
    return to === 'suspended' && holds?.to !== 'active' ? 'Only an active device is suspended' : null
  },
}

export interface ModelChange {
  readonly model: string
  readonly version: number
  readonly role: 'champion' | 'advisory' | 'canary' | 'retired'
  readonly owner: string
}

/** A champion needs an engineer and a shift lead, strongly signed in, and never its owner; what may not move anything needs one person. */
export const models: Subject<ModelChange> = {
  name: 'models',
  proposers: ['process-engineer', 'integrator'],
  timeToDecideUs: 72 * HOUR_US,
  idOf: ({ model }) => model,
  hashOf,
  asks: ({ role, owner }) => {
    if (role !== 'champion') return asks(ENGINEERS, 1, { exclude: [owner] })
    const quorum = ENGINEERS.map((each) => ({ role: each, people: 1 }))
    return asks(ENGINEERS, 2, { quorum, stepUp: true, exclude: [owner] })
  },
  problem: ({ version, role }, holds) => (holds?.version === version && holds.role === role ? 'It is in this role already' : null),
}

export interface FaultModeChange {
  readonly modeId: string
  readonly name: string
  readonly standing: 'fault' | 'normal' | 'known' | 'ignore'
}

/** A name is one person's word; to take an alarm away needs somebody else as well. */
export const faultModes: Subject<FaultModeChange> = {
  name: 'fault modes',
  proposers: ['technician', ...ENGINEERS],
  timeToDecideUs: 72 * HOUR_US,
  idOf: ({ modeId }) => modeId,
  hashOf,
  asks: ({ standing }) => asks(ENGINEERS, standing === 'fault' ? 0 : 1),
  problem: (change, holds) => (holds && hashOf(holds) === hashOf(change) ? 'It says so already' : null),
}

export interface EvidenceChange {
  readonly incidentId: string
  readonly to: 'held' | 'released' | 'erased'
}

/** Holding evidence is free; to release it takes two people, to erase it two who are strongly signed in. */
export const evidence: Subject<EvidenceChange> = {
  name: 'evidence',
  proposers: ['operator', 'privacy', ...ENGINEERS],
  timeToDecideUs: 24 * HOUR_US,
  idOf: ({ incidentId }) => incidentId,
  hashOf,
  asks: ({ to }) => (to === 'held' ? asks(ENGINEERS, 0) : asks(['privacy', ...ENGINEERS], 2, { stepUp: to === 'erased' })),
  problem: ({ to }, holds) => {
    if (holds?.to === 'erased') return 'It was erased'
    return to === 'erased' && holds?.to === 'held' ? 'It is under a hold: release it first' : null
  },
}

export interface ConfigChange {
  readonly name: string
  readonly digest: string
}

/** What says who may do what (policies, commands, boundaries) takes two engineers' words, anything else one. */
export const config: Subject<ConfigChange> = {
  name: 'config',
  proposers: ['integrator', ...ENGINEERS],
  timeToDecideUs: 24 * HOUR_US,
  idOf: ({ name }) => name,
  hashOf,
  asks: ({ name }) => {
    const isRule = name === 'commands' || name.startsWith('policies/') || name.startsWith('boundaries/')
    return asks(ENGINEERS, isRule ? 2 : 1, isRule ? { quorum: [{ role: 'process-engineer', people: 1 }] } : {})
  },
  problem: ({ digest }, holds) => (holds?.digest === digest ? 'It is published already' : null),
}
