// What the words in a row mean under a plan: asset, quality, channel of the long form. Shared by the formats. Pure.

import { ByteNames } from './byte-names.ts'
import { maxChannels } from './column-plan.ts'
import type { ColumnPlan } from './column-plan.ts'
import type { FileAssets } from './file-assets.ts'

/** Distinct words of one column that are remembered; further ones are looked up each time. */
const wordsKept = 65_536

/** A column of words, each worked out once. */
class WordColumn {
  readonly #names = new ByteNames(wordsKept)
  readonly #meanings: number[] = []
  readonly #meaningOf: (word: string) => number

  constructor(meaningOf: (word: string) => number) {
    this.#meaningOf = meaningOf
  }

  at(bytes: Buffer, from: number, to: number): number {
    const index = this.#names.indexOf(bytes, from, to)
    if (index < 0) return this.#meaningOf(bytes.toString('utf8', from, to))
    return (this.#meanings[index] ??= this.#meaningOf(this.#names.name(index)))
  }

  of(word: string): number {
    return this.#meaningOf(word)
  }
}

export class RowWords {
  /** Place of the asset; -1 for one that is no asset. */
  readonly asset: WordColumn
  /** 0 good, 1 uncertain, 2 bad; -1 for a word that is none of these. */
  readonly quality: WordColumn
  /** Place of the channel in `channels`; -1 when the map does not have it. */
  readonly channel: WordColumn
  /** Channels of the long form so far. */
  readonly channels: string[] = []

  constructor(plan: ColumnPlan, assets: FileAssets) {
    const assetWords = 'column' in plan.asset ? plan.asset.map : undefined
    this.asset = new WordColumn((word) => {
      const id = assetWords === undefined ? word.trim() : assetWords.get(word.trim())
      return id === undefined ? -1 : assets.indexOf(id)
    })
    const qualityWords = plan.quality?.of
    this.quality = new WordColumn((word) => {
      const text = word.trim()
      // A mapping's other words mean bad, and a missing one uncertain; without a mapping it is a digit, and nothing means good.
      if (qualityWords !== undefined) return qualityWords.get(text) ?? (text === '' ? 1 : 2)
      return text === '' ? 0 : /^[012]$/.test(text) ? Number(text) : -1
    })
    const channelWords = plan.long?.map
    this.channel = new WordColumn((word) => {
      const channel = channelWords === undefined ? word.trim() : channelWords.get(word.trim())
      if (channel === undefined || channel === '') return -1
      const known = this.channels.indexOf(channel)
      if (known >= 0 || this.channels.length === maxChannels) return known
      return this.channels.push(channel) - 1
    })
  }
}
