// The kernel for devices: who they are, who let them in, and which certificate counts. Pure; services supply time and the log.

export * from './types.ts'
export { deviceRefused, deviceRequest } from './records.ts'
export { emptyDevices, evolveDevices, foldDevices, isDeviceRequest } from './fold.ts'
export { decideDevice, DEVICE_APPROVERS, DEVICE_ENROLLERS } from './decide.ts'
export { standing } from './standing.ts'
export type { Standing } from './standing.ts'
