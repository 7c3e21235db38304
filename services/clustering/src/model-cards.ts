// What the cards of registered models say about normal: mean, spread and normal range per feature. Versions are
// immutable, so a card is found by the digest that the verdict carries.

import type { Models } from '@andon/schemas'

export interface NormalFeature {
  readonly mean: number
  readonly std: number
  readonly low: number | null
  readonly high: number | null
  /** False for a feature that never moved or was mostly missing while learning. */
  readonly isUsed: boolean
}

export interface Card {
  readonly digest: string
  /** Event time at which its learning data ends; null when the card does not say. */
  readonly learntUntilUs: number | null
  readonly features: ReadonlyMap<string, NormalFeature>
}

interface CardText {
  readonly training?: { readonly toUs?: unknown }
  readonly features?: readonly { name?: unknown; mean?: unknown; std?: unknown; q01?: unknown; q99?: unknown; use?: unknown }[]
}

/** Cards by artefact digest; what a foreign card does not say is left out. */
export class ModelCards {
  private readonly cards = new Map<string, Card>()

  apply(fact: Pick<Models, 'type' | 'digest' | 'card'>): void {
    if (this.cards.has(fact.digest)) return
    const card = readCard(fact.digest, fact.card)
    if (card !== undefined) this.cards.set(fact.digest, card)
  }

  of(digest: string): Card | undefined {
    return this.cards.get(digest)
  }
}

const readCard = (digest: string, text: string): Card | undefined => {
  let card: CardText
  try {
    card = JSON.parse(text) as CardText
  } catch {
    return undefined
  }
  if (!Array.isArray(card.features)) return undefined
  const features = new Map<string, NormalFeature>()
  for (const { name, mean, std, q01, q99, use } of card.features) {
    if (typeof name !== 'string' || !isNumber(mean) || !isNumber(std)) continue
    features.set(name, {
      mean,
      std,
      low: isNumber(q01) ? q01 : null,
      high: isNumber(q99) ? q99 : null,
      isUsed: use === undefined || use === 'used',
    })
  }
  const { toUs } = card.training ?? {}
  return { digest, learntUntilUs: isNumber(toUs) ? toUs : null, features }
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)
