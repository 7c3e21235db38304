// `npm run verify -- images`: a replay from a container image on every engine that runs one here, one check per engine.

import { type Check, checkOf, triedIn } from './check.ts'

const FILE = 'packages/cli/test/replay-image.suite.ts'

export const images = async (): Promise<Check[]> => {
  const tried = await Array.fromAsync(triedIn(FILE))
  // Tests are called `<engine>[ <version>]: <rule>`; where no engine runs, the one that says so is skipped.
  const engineOf = (name: string): string => /^\w+/.exec(name.includes(': ') ? name : 'none')![0]
  const engines = [...new Set(tried.map(({ name }) => engineOf(name)))]
  const checks = engines.map((engine) =>
    checkOf(
      `images ${engine}`,
      tried.filter(({ name }) => engineOf(name) === engine),
    ),
  )
  if (tried.length > 0) return checks
  return [{ check: 'images', items: 0, failed: 1, pass: false, skipped: [], failures: [`${FILE} tried nothing`] }]
}
