import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { kdTreeOf, nearest, nearestByMass } from '../../src/density/kd-tree.ts'
import { spanningTree } from '../../src/density/spanning-tree.ts'
import { randomFrom } from '../../src/random.ts'

const clouds = fc.record({
  seed: fc.nat(100_000),
  rows: fc.integer({ min: 2, max: 400 }),
  width: fc.integer({ min: 1, max: 20 }),
  grid: fc.boolean(),
})

test('core distances and the edges of the spanning tree are those of all pairs', () => {
  fc.assert(
    fc.property(clouds, fc.integer({ min: 1, max: 12 }), ({ seed, rows, width, grid }, wanted) => {
      const random = randomFrom(seed)
      const values = Float64Array.from({ length: rows * width }, () => (grid ? random.below(4) : random.normal() + 6 * random.below(2)))
      const count = Math.min(wanted, rows)
      const distance = (a: number, b: number): number => {
        let sum = 0
        for (let k = 0; k < width; k++) sum += ((values[a * width + k] as number) - (values[b * width + k] as number)) ** 2
        return Math.sqrt(sum)
      }
      const all = Array.from({ length: rows }, (_, i) => i)
      const core = all.map((a) => all.map((b) => distance(a, b)).sort((x, y) => x - y)[count - 1] as number)
      const tree = kdTreeOf({ values, rows, width })
      const near = nearest(tree, count)
      const byMass = nearestByMass(tree, new Float64Array(rows).fill(1), count)
      tree.rowAt.forEach((row, place) => {
        assert.ok(Math.abs(Math.sqrt(near.squared[place] as number) - (core[row] as number)) < 1e-12)
        assert.equal(byMass.squared[place], near.squared[place])
      })
      // Prim over all pairs.
      const length = all.map(() => Infinity)
      const expected: number[] = []
      const left = new Set(all.slice(1))
      for (let at = 0; left.size > 0;) {
        let next = -1
        for (const p of left) {
          length[p] = Math.min(length[p] as number, Math.max(distance(at, p), core[at] as number, core[p] as number))
          if (next < 0 || (length[p] as number) < (length[next] as number)) next = p
        }
        expected.push(length[next] as number)
        left.delete(next)
        at = next
      }
      const found = spanningTree(tree, near.squared, near).distances.slice().sort()
      assert.equal(found.length, rows - 1)
      expected.sort((a, b) => a - b).forEach((edge, i) => assert.ok(Math.abs(edge - (found[i] as number)) < 1e-12))
    }),
  )
})
