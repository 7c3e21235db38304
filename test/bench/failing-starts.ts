import type { Measurement } from './measurement.ts'
export const failingStarts = async (): Promise<Measurement[]> => []
