// Services and the demo plant as children of the supervisor.

import { join } from 'node:path'
import { type Platform, type Program, answersOk, nodeProgram, repositoryRoot } from '@andon/platform'
import { type ServiceName, serviceNames, topology } from '@andon/schemas'

/** Heap of each service in MiB; inference keeps models, the console its read model. */
const HEAP_MB: Partial<Record<ServiceName, number>> = { inference: 192, console: 192, actions: 160 }

const adminPort = (service: ServiceName, offset: number): number =>
  Number(process.env[`${service.toUpperCase()}_ADMIN_PORT`] || topology.services[service].admin + offset)

/** One program per service, with settings of its own beside those of all; a service counts as started when it answers, and as ready when `readiness` says so. */
export const servicePrograms = (
  platform: Platform,
  services: readonly ServiceName[],
  offset: number,
  extra: Readonly<Record<string, string>>,
  own: Partial<Record<ServiceName, Readonly<Record<string, string>>>> = {},
): (() => Program)[] =>
  services.map(
    (name) => () =>
      nodeProgram({
        name,
        main: join(repositoryRoot, 'services', name, 'src', 'main.ts'),
        home: platform.home,
        environment: { ...platform.environment, ANDON_INSTANCE: name, ...extra, ...own[name] },
        heapMb: HEAP_MB[name] ?? 128,
        isReady: () => answersOk(`http://127.0.0.1:${adminPort(name, offset)}/livez`),
      }),
  )

export const demoPlantFolder: string = join(repositoryRoot, 'examples', 'steel-plant')

/** Signed models of the demo's assets, so that the first finding needs no commissioning; the environment may name others. */
export const demoBaselines = (): Readonly<Record<string, string>> => ({
  INFERENCE_BASELINE_DIR: process.env['INFERENCE_BASELINE_DIR'] ?? join(demoPlantFolder, 'baseline'),
  INFERENCE_BASELINE_KEYS: process.env['INFERENCE_BASELINE_KEYS'] ?? join(demoPlantFolder, 'baseline', 'keys'),
})

/** The demo plant: recordings, simulated press, cameras and the line. */
export const demoProgram = (platform: Platform, offset: number, extra: Readonly<Record<string, string>>): (() => Program) => {
  const port = Number(process.env['STEEL_PLANT_ADMIN_PORT'] || 7096 + offset)
  return () =>
    nodeProgram({
      name: 'steel-plant',
      main: join(demoPlantFolder, 'src', 'main.ts'),
      home: platform.home,
      environment: { ...platform.environment, STEEL_PLANT_TOKEN_FILE: join(platform.home.tokens, 'integrator'), ...extra },
      isReady: () => answersOk(`http://127.0.0.1:${port}/readyz`),
    })
}

/** Why services are not ready yet, by name; empty when all are. */
export const unready = async (offset: number, services: readonly ServiceName[] = serviceNames): Promise<Map<string, string>> => {
  const reasons = new Map<string, string>()
  await Promise.all(
    services.map(async (name) => {
      try {
        const response = await fetch(`http://127.0.0.1:${adminPort(name, offset)}/readyz`, { signal: AbortSignal.timeout(2000) })
        const body = (await response.json()) as { parts?: Record<string, boolean | string> }
        if (response.ok) return
        const parts = Object.entries(body.parts ?? {}).filter(([, state]) => state !== true)
        reasons.set(name, parts.map(([part, state]) => (state === false ? part : `${part}: ${state}`)).join(', '))
      } catch {
        reasons.set(name, 'does not answer')
      }
    }),
  )
  return reasons
}
