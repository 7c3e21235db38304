// Which fault mode an asset showed at a time, from the findings of the range: what a diff is grouped by.

import type { Codec, Log } from '@andon/kit'
import type { Anomalies } from '@andon/schemas'
import { sideTopic } from './identity.ts'

interface Spell {
  readonly fromUs: number
  readonly toUs: number
  readonly mode: string
}

/** `-` outside of episodes, `unnamed` in one whose pattern nobody named. Both sides' findings count, the run's first. */
export const faultModesOf = async (
  log: Log,
  codec: Codec,
  { run, against, fromMs }: { readonly run: string; readonly against: string; readonly fromMs: number },
): Promise<(assetId: string, atUs: number | null) => string> => {
  const spells = new Map<string, Spell[]>()
  const present = new Set((await log.admin.topics()).map(({ name }) => name))
  for (const topic of [sideTopic('anomalies', run), sideTopic('anomalies', against)].filter((name) => present.has(name))) {
    const episodes = new Map<string, Spell & { assetId: string }>()
    for (const { partition, high } of await log.admin.watermarks(topic)) {
      const from = await log.admin.offsetAt(topic, partition, fromMs)
      if (from >= high) continue
      for await (const batch of log.read({ topic, partition, from, to: high }))
        for (const record of batch.records) {
          const finding = record.value === null ? null : await findingOf(codec, topic, record.value)
          if (finding === null) continue
          const known = episodes.get(finding.episodeId)
          const toUs = finding.transition === 'closed' ? finding.atUs : (known?.toUs ?? Number.MAX_SAFE_INTEGER)
          const mode = finding.faultMode ?? known?.mode ?? 'unnamed'
          episodes.set(finding.episodeId, { assetId: finding.assetId, fromUs: finding.openedUs, toUs, mode })
        }
    }
    for (const { assetId, ...spell } of episodes.values()) spells.set(assetId, [...(spells.get(assetId) ?? []), spell])
  }
  return (assetId, atUs) =>
    (atUs === null ? undefined : spells.get(assetId)?.find(({ fromUs, toUs }) => fromUs <= atUs && atUs <= toUs))?.mode ?? '-'
}

const findingOf = async (codec: Codec, topic: string, value: Buffer): Promise<Anomalies['finding']> => {
  try {
    return (await codec.decodeAsync<Anomalies>(topic, value)).finding
  } catch (error) {
    if ((error as { retriable?: boolean }).retriable) throw error
    return null // the diff itself tells of what cannot be decoded
  }
}
