// Absolute limits beside whatever a model learnt: the zone of the vibration velocity after ISO 20816. A run of windows in zone C
// or D exceeds the limit, a run of windows below ends it. Pure, with the hysteresis of episodes.

export interface LimitWatch {
  /** Windows in a row in zone C or D. */
  readonly above: number
  /** Windows in a row in zone D. */
  readonly inD: number
  /** Windows in a row in zone A or B, while exceeded. */
  readonly quiet: number
  readonly open: OpenLimit | null
}

export interface OpenLimit {
  readonly openingVectorId: string
  readonly openedUs: number
  /** Worst zone that lasted. */
  readonly zone: 'C' | 'D'
  readonly windows: number
  /** Largest velocity, mm/s RMS; null where it is not in the vector. */
  readonly peakMmS: number | null
}

export interface LimitWindow {
  /** 1 to 4 for zones A to D. */
  readonly zone: number
  /** Null where it is not in the vector. */
  readonly velocityMmS: number | null
  readonly vectorId: string
  readonly atUs: number
}

export interface LimitTransition {
  readonly kind: 'opened' | 'updated' | 'closed'
  readonly limit: OpenLimit
}

export const quietLimit: LimitWatch = { above: 0, inD: 0, quiet: 0, open: null }

/** Zone C is a warning, zone D is grave. */
export const limitSeverity = ({ zone }: OpenLimit): number => (zone === 'D' ? 2 : 3)

/** Judges one window; one without a zone changes nothing. */
export const judgeLimit = (
  watch: LimitWatch,
  { zone, velocityMmS, vectorId, atUs }: LimitWindow,
  { on, off }: { readonly on: number; readonly off: number },
): { readonly watch: LimitWatch; readonly transition: LimitTransition | undefined } => {
  if (!Number.isFinite(zone)) return { watch, transition: undefined }
  const above = zone >= 3 ? watch.above + 1 : 0
  const inD = zone >= 4 ? watch.inD + 1 : 0
  if (watch.open === null) {
    if (above < on) return { watch: { ...quietLimit, above, inD }, transition: undefined }
    const open: OpenLimit = { openingVectorId: vectorId, openedUs: atUs, zone: inD >= on ? 'D' : 'C', windows: 1, peakMmS: velocityMmS }
    return { watch: { above, inD, quiet: 0, open }, transition: { kind: 'opened', limit: open } }
  }
  const quiet = zone < 3 ? watch.quiet + 1 : 0
  const isWorse = watch.open.zone === 'C' && inD >= on
  const open: OpenLimit = {
    ...watch.open,
    zone: isWorse ? 'D' : watch.open.zone,
    windows: watch.open.windows + 1,
    peakMmS: (velocityMmS ?? 0) > (watch.open.peakMmS ?? 0) ? velocityMmS : watch.open.peakMmS,
  }
  if (quiet >= off) return { watch: quietLimit, transition: { kind: 'closed', limit: open } }
  return { watch: { above, inD, quiet, open }, transition: isWorse ? { kind: 'updated', limit: open } : undefined }
}
