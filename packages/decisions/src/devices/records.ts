// Builders of records on `devices`.

import { uuid8 } from '@andon/kit/ids'
import type { Devices } from '@andon/schemas'

type Fields = Partial<Omit<Devices, 'type' | 'id' | 'deviceId' | 'site' | 'atUs'>>

const EMPTY = {
  assetId: '',
  credentialDigest: '',
  by: '',
  requestId: null,
  roles: null,
  reason: null,
  assets: [],
  claim: null,
  certificate: null,
  overlapUs: null,
  refusal: null,
} as const

export interface DeviceName {
  readonly deviceId: string
  readonly site: string
}

/** A request; whoever sends it again gives the same id. */
export const deviceRequest = (type: string, id: string, { deviceId, site }: DeviceName, atUs: number, fields: Fields): Devices => ({
  type,
  id,
  deviceId,
  site,
  atUs,
  ...EMPTY,
  ...fields,
})

/** The fact that answers a request. Its id follows from the request: whoever decides, it is one decision. */
export const deviceFact = (type: string, request: Devices, atUs: number, fields: Fields = {}): Devices => ({
  type,
  id: uuid8('device-fact', request.id),
  deviceId: request.deviceId,
  site: request.site,
  atUs,
  ...EMPTY,
  by: request.by,
  requestId: request.id,
  reason: request.reason,
  ...fields,
})

export const deviceRefused = (request: Devices, atUs: number, code: string, message: string): Devices =>
  deviceFact('RequestRefused', request, atUs, { refusal: { code, message } })
