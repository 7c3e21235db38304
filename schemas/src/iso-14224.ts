// Codes of ISO 14224:2016 (annex B) that a failure record may carry: failure modes per equipment class, mechanisms, causes, ways of
// detection. A working part of the tables: the classes found on process lines, with the standard's two- and three-letter codes.

export type Codes = Readonly<Record<string, string>>

/** Failure modes, as observed at the equipment. */
export const failureModes: Codes = {
  AIR: 'abnormal instrument reading',
  BRD: 'breakdown',
  DOP: 'delayed operation',
  ELF: 'external leakage, fuel',
  ELP: 'external leakage, process medium',
  ELU: 'external leakage, utility medium',
  ERO: 'erratic output',
  FOF: 'faulty output frequency',
  FOV: 'faulty output voltage',
  FTC: 'failure to close on demand',
  FTF: 'failure to function on demand',
  FTI: 'failure to function as intended',
  FTO: 'failure to open on demand',
  FTR: 'failure to regulate',
  FTS: 'failure to start on demand',
  HIO: 'high output',
  IHT: 'insufficient heat transfer',
  INL: 'internal leakage',
  LCP: 'leakage in closed position',
  LOA: 'load drop',
  LOO: 'low output',
  NOI: 'noise',
  NOO: 'no output',
  OHE: 'overheating',
  OTH: 'other',
  PDE: 'parameter deviation',
  PLU: 'plugged, choked',
  SER: 'minor in-service problems',
  SPO: 'spurious operation',
  STD: 'structural deficiency',
  STP: 'failure to stop on demand',
  UNK: 'unknown',
  UST: 'spurious stop',
  VIB: 'vibration',
}

const ROTATING = ['AIR', 'BRD', 'ERO', 'FTS', 'HIO', 'LOO', 'NOI', 'OHE', 'PDE', 'SER', 'STD', 'STP', 'OTH', 'UNK', 'UST', 'VIB']
const FLUID = ['ELP', 'ELU', 'INL', 'PLU']
const ENGINE = ['ELF', 'ELU', 'INL', 'PLU']
const VALVE = ['AIR', 'DOP', 'ELP', 'ELU', 'FTC', 'FTO', 'FTR', 'HIO', 'INL', 'LCP', 'LOO', 'NOI', 'PLU', 'SER', 'SPO', 'STD', 'OTH', 'UNK']
const STATIC = ['AIR', 'ELP', 'ELU', 'INL', 'PDE', 'PLU', 'SER', 'STD', 'OTH', 'UNK']
const ELECTRICAL = ['AIR', 'ELU', 'FOF', 'FOV', 'FTF', 'FTI', 'INL', 'OHE', 'PDE', 'PLU', 'SER', 'SPO', 'STD', 'OTH', 'UNK']
const INSTRUMENT = ['AIR', 'ERO', 'FTF', 'HIO', 'LOO', 'NOO', 'SER', 'SPO', 'OTH', 'UNK']
const LIFTING = [
  'AIR',
  'BRD',
  'DOP',
  'ELU',
  'FTF',
  'FTS',
  'FTI',
  'LOA',
  'LOO',
  'NOI',
  'OHE',
  'SER',
  'SPO',
  'STD',
  'STP',
  'OTH',
  'UNK',
  'VIB',
]

/** Equipment classes, with the failure modes that they can show. */
export const equipmentClasses: Readonly<Record<string, { readonly name: string; readonly modes: readonly string[] }>> = {
  BL: { name: 'blowers and fans', modes: [...ROTATING, ...FLUID] },
  CE: { name: 'combustion engines', modes: [...ROTATING, ...ENGINE] },
  CO: { name: 'compressors', modes: [...ROTATING, ...FLUID] },
  CR: { name: 'cranes', modes: LIFTING },
  EG: { name: 'electric generators', modes: [...ROTATING, 'ELU', 'FOF', 'FOV'] },
  EM: { name: 'electric motors', modes: [...ROTATING, 'ELU'] },
  FC: { name: 'frequency converters', modes: ELECTRICAL },
  GT: { name: 'gas turbines', modes: [...ROTATING, ...ENGINE] },
  HB: { name: 'heaters and boilers', modes: [...STATIC, 'IHT', 'OHE'] },
  HE: { name: 'heat exchangers', modes: [...STATIC, 'IHT'] },
  IP: { name: 'input devices', modes: INSTRUMENT },
  MI: { name: 'mixers', modes: [...ROTATING, ...FLUID] },
  PT: { name: 'power transformers', modes: ELECTRICAL },
  PU: { name: 'pumps', modes: [...ROTATING, ...FLUID] },
  SG: { name: 'switchgear', modes: ELECTRICAL },
  ST: { name: 'steam turbines', modes: [...ROTATING, ...FLUID] },
  TE: { name: 'turboexpanders', modes: [...ROTATING, ...FLUID] },
  VA: { name: 'valves', modes: VALVE },
  VE: { name: 'pressure vessels', modes: STATIC },
  WI: { name: 'winches', modes: LIFTING },
}

/** Failure mechanisms. */
export const failureMechanisms: Codes = {
  '1.0': 'mechanical failure',
  '1.1': 'leakage',
  '1.2': 'vibration',
  '1.3': 'clearance or alignment',
  '1.4': 'deformation',
  '1.5': 'looseness',
  '1.6': 'sticking',
  '2.0': 'material failure',
  '2.1': 'cavitation',
  '2.2': 'corrosion',
  '2.3': 'erosion',
  '2.4': 'wear',
  '2.5': 'breakage',
  '2.6': 'fatigue',
  '2.7': 'overheating',
  '2.8': 'burst',
  '3.0': 'instrument failure',
  '3.1': 'control failure',
  '3.2': 'no signal',
  '3.3': 'faulty signal',
  '3.4': 'out of adjustment',
  '3.5': 'software',
  '3.6': 'common cause',
  '4.0': 'electrical failure',
  '4.1': 'short circuit',
  '4.2': 'open circuit',
  '4.3': 'no power',
  '4.4': 'faulty power',
  '4.5': 'earth or isolation fault',
  '5.0': 'external influence',
  '5.1': 'blockage',
  '5.2': 'contamination',
  '5.3': 'other external influence',
  '6.0': 'miscellaneous',
  '6.1': 'no cause found',
  '6.2': 'combined causes',
  '6.3': 'other',
  '6.4': 'unknown',
}

/** Failure causes: what led to the failure in the life of the equipment. */
export const failureCauses: Codes = {
  '1.0': 'design',
  '1.1': 'improper capacity',
  '1.2': 'improper material',
  '2.0': 'fabrication or installation',
  '2.1': 'fabrication',
  '2.2': 'installation',
  '3.0': 'operation or maintenance',
  '3.1': 'off-design service',
  '3.2': 'operating error',
  '3.3': 'maintenance error',
  '3.4': 'expected wear and tear',
  '4.0': 'management',
  '4.1': 'documentation error',
  '4.2': 'management error',
  '5.0': 'miscellaneous',
  '5.1': 'no cause found',
  '5.2': 'common cause',
  '5.3': 'combined causes',
  '5.4': 'failure of another unit',
  '5.5': 'other',
  '5.6': 'unknown',
}

/** Ways in which a failure is found. */
export const detectionMethods: Codes = {
  '1': 'periodic maintenance',
  '2': 'functional testing',
  '3': 'inspection',
  '4': 'periodic condition monitoring',
  '5': 'pressure testing',
  '6': 'continuous condition monitoring',
  '7': 'production interference',
  '8': 'casual observation',
  '9': 'corrective maintenance',
  '10': 'on demand',
  '11': 'other',
}

export interface FailureCodes {
  readonly mode: string | null
  readonly mechanism: string | null
  readonly cause: string | null
  readonly detection: string | null
}

/**
 * The first code that the standard does not have, with those nearby; undefined when all are known. An equipment class allows its own
 * failure modes only; without one any mode of the standard will do.
 */
export const failureCodeProblem = (codes: FailureCodes, equipmentClass: string | undefined): string | undefined => {
  const known = equipmentClass === undefined ? undefined : equipmentClasses[equipmentClass]
  const modes = known === undefined ? Object.keys(failureModes) : known.modes
  const where = known === undefined ? 'of ISO 14224' : `of ISO 14224 for ${known.name} (${equipmentClass})`
  return (
    problemOf('mode', codes.mode, modes, failureModes, `a failure mode ${where}`) ??
    problemOf('mechanism', codes.mechanism, Object.keys(failureMechanisms), failureMechanisms, 'a failure mechanism of ISO 14224') ??
    problemOf('cause', codes.cause, Object.keys(failureCauses), failureCauses, 'a failure cause of ISO 14224') ??
    problemOf('detection', codes.detection, Object.keys(detectionMethods), detectionMethods, 'a detection method of ISO 14224')
  )
}

const NEARBY = 6

const problemOf = (field: string, code: string | null, allowed: readonly string[], words: Codes, what: string): string | undefined => {
  if (code === null || allowed.includes(code)) return undefined
  const nearby = allowed
    .map((one) => ({ one, distance: distanceOf(code.toUpperCase(), one, words[one] ?? '') }))
    .toSorted((a, b) => a.distance - b.distance || (a.one < b.one ? -1 : 1))
    .slice(0, NEARBY)
    .map(({ one }) => `${one} ${words[one] ?? ''}`)
  return `${field}: expected ${what}, found ${code}; nearby: ${nearby.join(', ')}`
}

/** Letters in which two codes differ, place by place; a code whose words contain what was typed is nearest. */
const distanceOf = (given: string, code: string, words: string): number => {
  if (given.length > 2 && words.toUpperCase().includes(given)) return 0
  let distance = Math.abs(given.length - code.length)
  for (let at = 0; at < Math.min(given.length, code.length); at++) if (given[at] !== code[at]) distance += 1
  return distance
}
