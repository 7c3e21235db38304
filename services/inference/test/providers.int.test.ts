// Which execution provider a model gets, that a missing one is never passed over in silence, and one that is not the CPU where this
// machine has a driver for it.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { writeOnnx } from '../src/learning/onnx-writer.ts'
import { checkGolden, readGolden } from '../src/runtime/golden.ts'
import { processRuntime } from '../src/runtime/process-runtime.ts'
import { openProviders, probeProvider } from '../src/runtime/providers.ts'
import type { GpuProvider, Probe, ProviderOptions } from '../src/runtime/providers.ts'
import type { Runner } from '../src/runtime/runner.ts'
import { openSession } from '../src/runtime/session.ts'
import { pack, unpack } from '../src/tensors/tensors.ts'

const usable = async (provider: GpuProvider): Promise<Probe> => ({ provider, isUsable: true, reason: '' })
const missing = async (provider: GpuProvider): Promise<Probe> => ({ provider, isUsable: false, reason: 'no driver' })
const open = (options: Partial<ProviderOptions>) => openProviders({ gpu: 'prefer', gpuProvider: 'cuda', probe: usable, ...options })
const model = { label: 'm', device: 'auto', parameters: {} } as const
const refused = { code: 'ANDON_INFERENCE_PROVIDER_MISSING' }

test('a model gets the GPU where one can be used, and the CPU where it says so or the setting is off', async () => {
  const providers = await open({})
  assert.deepEqual(providers.placement(model), { provider: 'cuda', deviceId: 0 })
  assert.deepEqual(providers.placement({ ...model, device: 'cpu' }), { provider: 'cpu', deviceId: 0 })
  const parameters = { andon_execution_provider: 'tensorrt', andon_gpu: '3' }
  assert.deepEqual(providers.placement({ ...model, parameters }), { provider: 'tensorrt', deviceId: 3 })
  let tried = 0
  const probe = async (provider: GpuProvider): Promise<Probe> => {
    tried++
    return usable(provider)
  }
  const off = await open({ gpu: 'off', probe })
  assert.deepEqual([off.placement(model).provider, off.standard, tried], ['cpu', 'cpu', 0])
  assert.throws(() => off.placement({ ...model, device: 'gpu' }), { ...refused, message: /INFERENCE_GPU is off/ })
})

test('prefer says which model runs on the CPU and why; require does not start, KIND_GPU does not load', async () => {
  const said: unknown[] = []
  const providers = await open({ probe: missing, onFallback: (fallback) => said.push(fallback) })
  assert.equal(providers.standard, 'cpu')
  assert.deepEqual(providers.placement(model), { provider: 'cpu', deviceId: 0 })
  assert.deepEqual(said, [{ model: 'm', wanted: 'CUDAExecutionProvider', reason: 'no driver' }])
  assert.throws(() => providers.placement({ ...model, device: 'gpu' }), { ...refused, message: /no driver/ })
  await assert.rejects(open({ gpu: 'require', probe: missing }), { ...refused, message: /no driver/ })
})

test('a name that ONNX Runtime would drop in silence is refused', async () => {
  const providers = await open({})
  for (const name of ['xnnpack', 'CUDA', 'cpu', ''])
    assert.throws(() => providers.placement({ ...model, parameters: { andon_execution_provider: name } }), {
      ...refused,
      message: /expected cuda, tensorrt, webgpu/,
    })
  assert.throws(() => providers.placement({ ...model, parameters: { andon_gpu: 'first' } }), refused)
  const other = { ...model, parameters: { andon_execution_provider: 'webgpu' }, device: 'gpu' } as const
  assert.throws(() => providers.placement(other), { ...refused, message: /webgpu was not tried/ })
})

/** y = relu(x·w), 64 × 8. */
const product = (columns: number): Buffer =>
  writeOnnx({
    name: 'product',
    nodes: [
      { op: 'MatMul', inputs: ['x', 'w'], outputs: ['p'] },
      { op: 'Relu', inputs: ['p'], outputs: ['y'] },
    ],
    initializers: [{ name: 'w', dims: [64, columns], data: Float32Array.from({ length: 64 * columns }, (_, i) => Math.sin(i)) }],
    inputs: [{ name: 'x', type: 'float', dims: ['N', 64] }],
    outputs: [{ name: 'y', type: 'float', dims: ['N', columns] }],
  })
const rows = Array.from({ length: 3 * 64 }, (_, i) => Math.cos(3 * i))

const runOn = async (runner: Runner): Promise<number[]> => {
  const batch = { requests: [{ inputs: [{ shape: [3, 64], bytes: pack('FP32', rows) }], rows: 3 }], outputs: ['y'], rows: 3 }
  return unpack('FP32', (await runner.run(batch)).outputs[0]![0]!.bytes) as number[]
}

/** Skips itself with the reason, in capitals, where the provider cannot be used. */
const usableOrSkip = async (t: TestContext, provider: GpuProvider): Promise<boolean> => {
  const { isUsable, reason } = await probeProvider(provider)
  if (!isUsable) t.skip(`NOT RUN ON ${provider.toUpperCase()}: ${reason}`)
  return isUsable
}

/** The product on the provider and on the CPU: same decision, numbers within 1e-5, and golden vectors that notice a difference. */
const comparedWithCpu = async (t: TestContext, provider: GpuProvider): Promise<void> => {
  const on = processRuntime({ runTimeoutMs: 60_000, memoryLimitBytes: 2 ** 36, placement: () => ({ provider, deviceId: 0 }) })
  const cpu = processRuntime({ runTimeoutMs: 60_000, memoryLimitBytes: 2 ** 36 })
  t.after(() => Promise.all([on.close(), cpu.close()]))
  const opened = { label: 'product', digest: '', bytes: product(8), instances: 1, maxBatchRows: 8, parameters: {}, device: 'auto' } as const
  const [runner, reference] = await Promise.all([on.open(opened), cpu.open(opened)])
  assert.equal(
    runner.provider,
    { cuda: 'CUDAExecutionProvider', tensorrt: 'TensorrtExecutionProvider', webgpu: 'WebGpuExecutionProvider' }[provider],
  )
  const [got, expected] = [await runOn(runner), await runOn(reference)]
  expected.forEach((value, i) =>
    assert.ok(Math.abs(got[i]! - value) <= 1e-5 * Math.max(1, Math.abs(value)), `value ${i}: expected ${value}, got ${got[i]}`),
  )
  const golden = (data: readonly number[], maxAbsDifference: number) =>
    readGolden(
      'golden.json',
      JSON.stringify({
        maxAbsDifference,
        maxRelDifference: 0,
        runs: [{ inputs: [{ name: 'x', shape: [3, 64], data: rows }], outputs: [{ name: 'y', shape: [3, 8], data }] }],
      }),
    )
  await checkGolden('product', runner, golden(expected, 1e-4))
  const at = expected.findIndex((value) => value > 0)
  const wrong = expected.map((value, i) => (i === at ? value + 0.01 : value))
  await assert.rejects(checkGolden('product', runner, golden(wrong, 1e-4)), { code: 'ANDON_INFERENCE_GOLDEN_MISMATCH' })
}

test('CUDA runs a model as the CPU does', async (t) => {
  if (await usableOrSkip(t, 'cuda')) await comparedWithCpu(t, 'cuda')
})

test('TensorRT runs a model as the CPU does', async (t) => {
  if (await usableOrSkip(t, 'tensorrt')) await comparedWithCpu(t, 'tensorrt')
})

// Chromium brings a Vulkan that needs no GPU.
const SOFTWARE_VULKAN = '/usr/lib/chromium/vk_swiftshader_icd.json'

test('WebGPU runs a model as the CPU does', async (t) => {
  if (process.env['VK_DRIVER_FILES'] === undefined && existsSync(SOFTWARE_VULKAN)) {
    process.env['VK_DRIVER_FILES'] = SOFTWARE_VULKAN
    t.after(() => delete process.env['VK_DRIVER_FILES'])
  }
  if (await usableOrSkip(t, 'webgpu')) await comparedWithCpu(t, 'webgpu')
})

test('a provider whose libraries are not there says which, and a session on it is refused', async (t) => {
  const probe = await probeProvider('cuda')
  if (probe.isUsable) return t.skip('CUDA can be used here')
  assert.notEqual(probe.reason, '')
  await assert.rejects(openSession({ bytes: product(2), provider: 'cuda' }))
})
