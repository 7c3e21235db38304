// UCUM units as people write them. Plant files carry UCUM codes; every sentence and page shows these.

const shown: Readonly<Record<string, string>> = {
  '1': '',
  Cel: '°C',
  '[degF]': '°F',
  '/min': 'rpm',
  'kW.h': 'kWh',
  'kvar.h': 'kvarh',
  'm/s2': 'm/s²',
  um: 'µm',
  Ohm: 'Ω',
  '[g]': 'g',
  '[psi]': 'psi',
}

/** A UCUM code as people write it, a rate (`Cel/s`) by its unit; what is not in the list is shown as it is. */
export const unitText = (ucum: string): string => {
  const isRate = ucum.length > 2 && ucum.endsWith('/s')
  const unit = isRate ? ucum.slice(0, -2) : ucum
  return `${shown[unit] ?? unit}${isRate ? '/s' : ''}`
}
