// What a service says about its replays, in its package.json (`andon.replay`) or, for an image, in the label of that name.
// It is read from the code that will run, so an older version is asked what it can do, not assumed to.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AndonError, codeOf } from '@andon/kit/errors'
import { REPLAY_CONTRACT } from '@andon/kit/replay/plan'

export interface ReplayContract {
  readonly contract: number
  /** Topic whose range is replayed. */
  readonly input: string
  /** Consumer group whose changelog and retained snapshots hold the state. */
  readonly group: string
  /** Topics that the run writes beside the live ones. */
  readonly writes: readonly string[]
  /** Partitions can be replayed by processes of their own: it reads nothing of what it writes, and what it writes goes by the key. */
  readonly parallel: boolean
  /** Version of the state's encoding that this code reads; absent: it keeps no state. */
  readonly stateVersion?: number
  /** Record time before the range that is read without emitting, where no retained snapshot can be used. */
  readonly warmUpMinutes: number
  /** Names of settings that change what comes out: handed on from the caller's environment. */
  readonly settings: readonly string[]
}

const noContract = (service: string, where: string, why: string): AndonError =>
  new AndonError(
    'ANDON_REPLAY_CONTRACT',
    `ANDON_REPLAY_CONTRACT: ${service} of ${where} cannot be replayed: ${why}. Take a version whose services/${service}/package.json has "andon": { "replay": { "contract": ${REPLAY_CONTRACT}, … } }.`,
  )

interface ServiceManifest {
  readonly main?: string
  readonly andon?: { readonly replay?: unknown }
}

/** The package.json in a service's folder. `where` names it in errors. Throws ANDON_REPLAY_CONTRACT when there is none. */
export const readManifestOf = (folder: string, service: string, where: string = folder): ServiceManifest => {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as ServiceManifest
  } catch (error) {
    if (codeOf(error) === 'ENOENT') throw noContract(service, where, 'there is no such service')
    throw error
  }
}

/** The contract of a service in a source tree. `where` names the tree in errors. Throws ANDON_REPLAY_CONTRACT when it has none. */
export const readContract = (root: string, service: string, where: string): ReplayContract =>
  checkContract(readManifestOf(join(root, 'services', service), service, where).andon?.replay, service, where)

/** A contract as it was found; throws ANDON_REPLAY_CONTRACT when it is none that this command knows. */
export const checkContract = (found: unknown, service: string, where: string): ReplayContract => {
  if (typeof found !== 'object' || found === null) throw noContract(service, where, 'it declares no replay contract')
  const contract = found as Partial<ReplayContract>
  if (contract.contract !== REPLAY_CONTRACT)
    throw noContract(service, where, `it has contract ${String(contract.contract)}, this command knows ${REPLAY_CONTRACT}`)
  const { input, group, writes, warmUpMinutes, settings = [], parallel = false, stateVersion } = contract
  const isWhole =
    typeof input === 'string' &&
    typeof group === 'string' &&
    Array.isArray(writes) &&
    writes.length > 0 &&
    typeof warmUpMinutes === 'number'
  if (!isWhole) throw noContract(service, where, 'its contract is not whole (input, group, writes, warmUpMinutes)')
  return {
    contract: REPLAY_CONTRACT,
    input,
    group,
    writes,
    warmUpMinutes,
    settings,
    parallel,
    ...(stateVersion === undefined ? {} : { stateVersion }),
  }
}
