// andon setup: prepares a platform that somebody else runs (containers, a cluster): topics, schemas and development tokens.

import type { Context } from '../context.ts'
import { print } from '../output.ts'
import { createTopics, registerSchemas } from '../up/log-setup.ts'
import { writeTokens } from '../up/tokens.ts'

export const setup = async (context: Context, options: { json?: boolean }): Promise<void> => {
  await registerSchemas(context.registryUrl, context.namespace)
  await createTopics(context.brokers, context.namespace)
  const { tokens } = context.home
  writeTokens(tokens)
  print(
    options.json === true,
    { brokers: context.brokers, registryUrl: context.registryUrl, tokens },
    () => `Topics and schemas are in place; tokens are in ${tokens}.`,
  )
}
