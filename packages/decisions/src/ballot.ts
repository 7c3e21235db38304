// Whose word counts on a proposal and when there are enough of them: the one rule of approval behind every subject of the kernel.

/** What a proposal asks for. */
export interface Ballot {
  /** Digest of exactly what is decided on; a word on anything else does not count. */
  readonly hash: string
  /** Distinct people needed, beside what `quorum` asks for. */
  readonly needed: number
  /** Roles that may decide at all. */
  readonly roles: readonly string[]
  /** Roles that have to be among the approvals; one person stands for one role. */
  readonly quorum: readonly { readonly role: string; readonly people: number }[]
  /** People who cannot approve: the owner of the model, whoever changed the proposal. */
  readonly exclude: readonly string[]
  readonly proposedBy: string
  /** The proposer cannot approve. */
  readonly fourEyes: boolean
  /** Approving needs a strong sign-in of its own. */
  readonly stepUp: boolean
  /** First moment at which no word counts any more, µs UTC. */
  readonly expiresUs: number
}

/** One person who approves. `roles` are null where the log does not say them: then the owner has checked them. */
export interface Voice {
  readonly by: string
  readonly roles: readonly string[] | null
  readonly strength: string | null
}

export type BallotProblem = 'role' | 'expired' | 'changed' | 'four-eyes' | 'excluded' | 'again' | 'step-up'

/** May this person decide at all, on this, now? */
export const objectionToDecide = (
  ballot: Ballot,
  voice: Pick<Voice, 'roles'>,
  hash: string | undefined,
  atUs: number,
): Extract<BallotProblem, 'role' | 'expired' | 'changed'> | null => {
  if (!(voice.roles ?? []).some((role) => ballot.roles.includes(role))) return 'role'
  if (atUs >= ballot.expiresUs) return 'expired'
  return hash === ballot.hash ? null : 'changed'
}

/** What speaks against counting this approval beside the others. */
export const objectionToVoice = (ballot: Ballot, voices: readonly Voice[], voice: Voice): BallotProblem | null => {
  if (ballot.fourEyes && voice.by === ballot.proposedBy) return 'four-eyes'
  if (ballot.exclude.includes(voice.by)) return 'excluded'
  if (voices.some((one) => one.by === voice.by)) return 'again'
  if (ballot.stepUp && voice.strength !== 'strong') return 'step-up'
  const mayDecide = voice.roles === null || ballot.roles.length === 0 || voice.roles.some((role) => ballot.roles.includes(role))
  return mayDecide ? null : 'role'
}

/** Enough distinct people, and each role of the quorum filled by people of its own. */
export const isCarried = (ballot: Ballot, voices: readonly Voice[]): boolean => {
  if (voices.length < ballot.needed) return false
  const seats = ballot.quorum.flatMap(({ role, people }) => Array.from({ length: people }, () => role))
  return isSeated(seats, voices)
}

/** Whether every seat finds a person; a person takes one seat. */
const isSeated = (seats: readonly string[], voices: readonly Voice[]): boolean => {
  const [seat, ...rest] = seats
  if (seat === undefined) return true
  return voices.some((voice, at) => (voice.roles ?? []).includes(seat) && isSeated(rest, voices.toSpliced(at, 1)))
}

/** People needed at least, quorum included. */
export const peopleNeeded = (ballot: Pick<Ballot, 'needed' | 'quorum'>): number =>
  Math.max(
    ballot.needed,
    ballot.quorum.reduce((sum, { people }) => sum + people, 0),
  )
