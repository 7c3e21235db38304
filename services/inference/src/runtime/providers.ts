// Execution providers: which of them really run here, which one a model gets, and what happens when a GPU was asked for and is not
// there. ONNX Runtime drops names it does not know and runs on the CPU instead, so a provider counts only after a run has said so.

export type GpuPolicy = 'require' | 'prefer' | 'off'

/** Names as onnxruntime-node takes them; no other is ever passed on. */
export type ProviderName = 'cpu' | 'cuda' | 'tensorrt' | 'webgpu'

/** As profiles, metrics and answers name them. */
export const executionProvider: Readonly<Record<ProviderName, string>> = {
  cpu: 'CPUExecutionProvider',
  cuda: 'CUDAExecutionProvider',
  tensorrt: 'TensorrtExecutionProvider',
  webgpu: 'WebGpuExecutionProvider',
}
