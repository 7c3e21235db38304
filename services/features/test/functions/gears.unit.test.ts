import assert from 'node:assert/strict'
import { test } from 'node:test'
import { figuresOf, noise, seriesOf, sine } from './waveforms.ts'

const rate = 8192
const shaftHz = 25.3
const pinion = { name: 'pinion', teeth: 23, shaftRatio: 1 }

/** A mesh whose amplitude and phase the turning shaft modulates, with noise. */
const mesh = (amplitude: number, modulation: number, { teeth = 23, turnHz = shaftHz, level = 0.02, length = 8192 } = {}): Float64Array => {
  const random = noise(11)
  return Float64Array.from({ length }, (_, i) => {
    const t = i / rate
    const turn = 2 * Math.PI * turnHz * t
    return amplitude * (1 + modulation * Math.cos(turn)) * Math.sin(teeth * turn + 0.4) + level * random()
  })
}

const figures = (x: Float64Array, gears = [pinion], given: { shaftHz?: number; harmonics?: number; sidebands?: number } = {}) => {
  const { shaftHz: measuredHz = shaftHz, ...options } = given
  return figuresOf(seriesOf([x], rate), ['gearMeshRms', 'gearSidebandRatio'], { shaftHz: measuredHz, machine: { gears }, options })
}

const close = (actual: number | undefined, expected: number, relative: number): void =>
  assert.ok(Math.abs((actual ?? Number.NaN) / expected - 1) <= relative, `${actual} is not ${expected}`)

test('the mesh has its rms, and each sideband half the depth of the modulation', () => {
  const found = figures(mesh(2, 0.3))
  close(found['gearMeshRms'], Math.SQRT2, 0.01)
  close(found['gearSidebandRatio'], 0.3, 0.1)
  assert.ok((figures(mesh(2, 0))['gearSidebandRatio'] as number) < 0.03)
})

test('harmonics of the mesh count', () => {
  const x = mesh(2, 0).map((value, i) => value + 1 * Math.sin(2 * Math.PI * 2 * 23 * shaftHz * (i / rate)))
  close(figures(x)['gearMeshRms'], Math.sqrt(2 + 0.5), 0.01)
  close(figures(x, [pinion], { harmonics: 1 })['gearMeshRms'], Math.sqrt(2 + 0.5), 0.01)
})

test('a measured speed that is off by 0.3 % finds the same lines', () => {
  const found = figures(mesh(2, 0.3), [pinion], { shaftHz: shaftHz * 1.003 })
  close(found['gearMeshRms'], Math.SQRT2, 0.01)
  close(found['gearSidebandRatio'], 0.3, 0.1)
})

test('of several gears the largest counts, each with its own shaft', () => {
  const wheel = { name: 'wheel', teeth: 57, shaftRatio: 0.5 }
  const other = mesh(3, 0.4, { teeth: 57, turnHz: shaftHz / 2 })
  const found = figures(
    mesh(0.5, 0).map((value, i) => value + (other[i] as number)),
    [pinion, wheel],
  )
  close(found['gearMeshRms'], 3 / Math.SQRT2, 0.01)
  close(found['gearSidebandRatio'], 0.4, 0.1)
  const turned = figures(
    mesh(0.5, 0).map((value, i) => value + (other[i] as number)),
    [wheel, pinion],
  )
  assert.deepEqual(turned, found)
})

test('a sideband that would lie below 0 Hz is none', () => {
  const x = mesh(2, 0, { teeth: 2 }).map((value, i) => value + 5 * Math.sin((2 * Math.PI * i) / rate))
  assert.ok((figures(x, [{ ...pinion, teeth: 2 }])['gearSidebandRatio'] as number) < 0.05)
})

test('sidebands that the resolution does not part have no ratio; a mesh beyond the spectrum, no speed or no gear have nothing', () => {
  assert.equal(figures(mesh(2, 0.3, { length: 512 }))['gearSidebandRatio'], Number.NaN)
  const nothing = { gearMeshRms: Number.NaN, gearSidebandRatio: Number.NaN }
  assert.deepEqual(figures(mesh(2, 0.3), [{ ...pinion, teeth: 300 }]), nothing)
  assert.deepEqual(figures(mesh(2, 0.3), [pinion], { shaftHz: Number.NaN }), nothing)
  assert.deepEqual(figures(mesh(2, 0.3), []), nothing)
  assert.deepEqual(figures(sine(rate, 8192, 0, 0)), { gearMeshRms: 0, gearSidebandRatio: Number.NaN })
})
