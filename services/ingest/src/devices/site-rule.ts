// Which clusters a site's data may reach: the plant file names them, the process knows its own.

import { AndonError } from '@andon/kit'
import type { Plant } from '@andon/schemas'

/** Why nothing of this plant may be taken in this cluster; undefined when it may. Senders keep what they have. */
export const siteObjection = ({ site }: Pick<Plant, 'site'>, cluster: string | null): AndonError | undefined => {
  const { clusters } = site
  if (clusters === undefined || (cluster !== null && clusters.includes(cluster))) return undefined
  return new AndonError(
    'ANDON_INGEST_SITE_NOT_ALLOWED',
    `Data of site ${site.id} may reach ${clusters.join(', ')} (plant.yaml, site.clusters); this process runs in ${cluster ?? 'a cluster without a name'} (ANDON_CLUSTER)`,
    { status: 403, retriable: true },
  )
}
