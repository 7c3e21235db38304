// Runs a tool of the features service as a process of its own: what is explained and previewed is computed by the code that
// runs in production, and the service's image has the tools too.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { repositoryRoot } from '@andon/platform'
import { type Context, CommandError } from '../context.ts'
import { EXIT } from '../exit.ts'

/** Where the tools lie, from the root of a checkout or an image. */
const TOOLS = 'services/features/src/tools'

export const runTool = (context: Context, tool: 'explain' | 'preview', args: readonly string[]): Promise<void> =>
  runScript(context, join(TOOLS, `${tool}.ts`), args)

/** Resolves when the service's script ended well; it has said everything itself otherwise, and the command ends with its exit code. */
export const runScript = async (context: Context, script: string, args: readonly string[]): Promise<void> => {
  const child = spawn(process.execPath, [join(repositoryRoot, script), ...args], {
    stdio: 'inherit',
    env: {
      ...process.env,
      ANDON_KAFKA_BROKERS: context.brokers.join(','),
      ANDON_REGISTRY_URL: context.registryUrl,
      ANDON_NAMESPACE: context.namespace,
    },
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== EXIT.ok) throw new CommandError(code ?? EXIT.failed, '')
}
