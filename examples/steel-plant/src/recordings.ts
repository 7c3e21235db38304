// The shipped recordings: CSV archive → rows with their recorded times. Keeps the order of the file, repairs nothing:
// what is odd in a recording (a clock that goes back, a date printed for the day before) is written beside it in SOURCE.md.

import { gunzipSync } from 'node:zlib'

/** One row of a recording. */
export interface RecordedRow {
  /** When the row was recorded, microseconds UTC; as printed, so it may step back. */
  readonly recordedUs: number
  readonly values: Readonly<Record<string, number>>
}

export interface Recording {
  readonly rows: readonly RecordedRow[]
  /** Usual distance between two rows, microseconds. */
  readonly stepUs: number
}

const lines = (archive: Uint8Array): string[] => {
  const [, ...rows] = gunzipSync(archive).toString('utf8').trimEnd().split(/\r?\n/)
  return rows
}

const parsedUs = (isoUtc: string): number => {
  const ms = Date.parse(isoUtc)
  if (Number.isNaN(ms)) throw new Error(`Recording: "${isoUtc}" is no date`)
  return ms * 1000
}

const parsedNumber = (text: string | undefined, row: string): number => {
  const value = Number(text)
  if (text === undefined || text === '' || !Number.isFinite(value))
    throw new Error(`Recording: "${text ?? ''}" is no number in row "${row}"`)
  return value
}

/** NAB `machine_temperature_system_failure`: timestamp,value every 5 minutes; steps back by 55 minutes once. */
export const readMachineTemperature = (archive: Uint8Array): Recording => ({
  stepUs: 300e6,
  rows: lines(archive).map((row) => {
    const [timestamp, value] = row.split(',')
    return { recordedUs: parsedUs(`${timestamp?.replace(' ', 'T')}Z`), values: { temperatureF: parsedNumber(value, row) } }
  }),
})

const powerChannels = [
  'usageKwh',
  'laggingReactiveKvarh',
  'leadingReactiveKvarh',
  'co2T',
  'laggingPowerFactorPct',
  'leadingPowerFactorPct',
] as const

/** Steel industry energy: dd/mm/yyyy HH:MM and six meters every 15 minutes; 00:00 closes the printed day, so it is read as 24:00. */
export const readSteelEnergy = (archive: Uint8Array): Recording => ({
  stepUs: 900e6,
  rows: lines(archive).map((row) => {
    const [date = '', ...columns] = row.split(',')
    const [, day, month, year, time] = /^(\d\d)\/(\d\d)\/(\d{4}) (\d\d:\d\d)$/.exec(date) ?? []
    const printedUs = parsedUs(`${year}-${month}-${day}T${time}:00Z`)
    return {
      recordedUs: time === '00:00' ? printedUs + 86_400e6 : printedUs,
      values: Object.fromEntries(powerChannels.map((channel, i) => [channel, parsedNumber(columns[i], row)])),
    }
  }),
})
