// The assets of one file, and how many of its rows each has had so far: what a row's number comes from. Pure.

/** Most assets in one file; rows of any further one are refused. */
export const maxAssets = 10_000

const idForm = /^[a-z0-9]+(?:-[a-z0-9]+)*$/
// With `file:`, 16 digits and a colon in front a source may have 128 characters.
const longestId = 100

export class FileAssets {
  readonly #index = new Map<string, number>()
  readonly ids: string[] = []
  /** Number of the next row, by asset. */
  readonly next: number[] = []

  /** @param counts rows of each asset so far, as an earlier process left them, in order. */
  constructor(counts: readonly (readonly [id: string, next: number])[] = []) {
    for (const [id, next] of counts) this.next[this.#add(id)] = next
  }

  /** The asset's place; -1 when this is no id of an asset, or one too many. */
  indexOf(id: string): number {
    const known = this.#index.get(id)
    if (known !== undefined) return known
    if (id.length > longestId || !idForm.test(id) || this.ids.length === maxAssets) return -1
    return this.#add(id)
  }

  #add(id: string): number {
    this.#index.set(id, this.ids.length)
    this.ids.push(id)
    this.next.push(0)
    return this.ids.length - 1
  }
}
