// `npm run verify -- clients`: clients of other servers against ours, one check per client.

import { type Check, checkOf, triedIn } from './check.ts'

const FILE = 'test/verify/clients.suite.ts'

export const clients = async (): Promise<Check[]> => {
  const tried = await Array.fromAsync(triedIn(FILE))
  // Tests are called `<client> <version>`, their rules `<client> <version>: <rule>`.
  const names = [...new Set(tried.map(({ name }) => name.split(': ', 1)[0]!))]
  const checks = names.map((client) =>
    checkOf(
      client,
      tried.filter(({ name }) => name === client || name.startsWith(`${client}: `)),
    ),
  )
  if (tried.length > 0) return checks
  return [{ check: 'clients', items: 0, failed: 1, pass: false, skipped: [], failures: [`${FILE} tried nothing`] }]
}
