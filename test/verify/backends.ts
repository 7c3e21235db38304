// `npm run verify -- backends`: other model servers as backends, one check per server and protocol.

import { type Check, checkOf, triedIn } from './check.ts'

const FILE = 'test/verify/backends.suite.ts'

export const backends = async (): Promise<Check[]> => {
  const tried = await Array.fromAsync(triedIn(FILE))
  // Tests are called `<server> <version> <protocol>: <rule>`.
  const subjects = [...new Set(tried.map(({ name }) => name.split(': ', 1)[0]!))]
  const checks = subjects.map((subject) =>
    checkOf(
      subject,
      tried
        .filter(({ name }) => name.startsWith(`${subject}: `) || name === subject)
        .map((one) => ({ ...one, name: one.name.slice(subject.length + 2) })),
    ),
  )
  if (tried.length > 0) return checks
  return [{ check: 'backends', items: 0, failed: 1, pass: false, skipped: [], failures: [`${FILE} tried nothing`] }]
}
