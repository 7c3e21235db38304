// What tests and the harness import from the demo plant: the line simulator, the cameras, the sinks and the shipped recordings.

export { startCameras } from './cameras.ts'
export type { Cameras, CamerasOptions } from './cameras.ts'
export { createLine } from './line.ts'
export type { Line, LineAnswer, LineEffect, LineState } from './line.ts'
export { startLineSimulator } from './line-simulator.ts'
export type { LineSimulator, LineSimulatorOptions } from './line-simulator.ts'
export { createPress } from './press.ts'
export { readMachineTemperature, readSteelEnergy } from './recordings.ts'
export type { RecordedRow, Recording } from './recordings.ts'
export { startSinks } from './sinks.ts'
export type { Sinks } from './sinks.ts'
