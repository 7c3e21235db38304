import type { Metrics, Tally } from './tally.ts'
export const reportHtml = (_title: string, _tally: Tally, _labels: Metrics | null, _notes: readonly string[]): string => ''
