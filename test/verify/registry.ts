// `npm run verify -- registry`: what Andon relies on in a schema registry, held against ours on a real broker and against Apicurio.

import { type Check, runSuite } from './check.ts'

export const registry = async (): Promise<Check[]> => [
  await runSuite('registry: ours', 'packages/platform/test/registry.int.test.ts'),
  await runSuite('registry: Apicurio', 'test/verify/registry-apicurio.suite.ts'),
]
