// The approval engine for what is not a step of an incident. Pure; services supply time and the log.

export * from './cases.ts'
export * from './subjects.ts'
