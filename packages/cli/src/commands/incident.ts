// andon incident verify: what an incident's finding was made of, read again from the blob store alone. No broker, no door.

import { openBlobs, verifySeal } from '@andon/kit'
import { AndonError } from '@andon/kit/errors'
import { type Context, CommandError } from '../context.ts'
import { EXIT } from '../exit.ts'
import { print, table } from '../output.ts'

export interface VerifyOptions {
  readonly json?: boolean
  readonly digest?: string
}

/** Computes every digest again. Ends with exit code 1 when an item is missing or changed. */
export const verifyIncident = async (context: Context, id: string, options: VerifyOptions): Promise<void> => {
  const { digest: expected } = options
  if (expected !== undefined && !/^[0-9a-f]{64}$/.test(expected))
    throw new CommandError(EXIT.usage, '--digest: expected 64 hex digits, as IncidentSealed has them.')
  const verdict = await verifySeal(await openBlobs(context.blobDir), id, expected).catch((error: unknown) => {
    if (error instanceof AndonError) throw new CommandError(EXIT.failed, `${error.code} ${error.message} (${context.blobDir}).`)
    throw error
  })
  const { digest, manifest, bytes, problems } = verdict
  const { items, gaps, ...of } = manifest
  const isWhole = problems.length === 0
  print(options.json === true, { ...of, digest, items: items.length, bytes, isWhole, problems, gaps }, () =>
    [
      `Incident ${id}, finding ${manifest.findingId} about ${manifest.assetId}: ${items.length} sealed inputs, ${bytes} bytes read again.`,
      `Manifest ${digest}${expected === undefined ? '. IncidentSealed on the log has the same digest; --digest compares it.' : ', as expected.'}`,
      ...(gaps.length === 0 ? [] : ['Could not be sealed:', table(gaps.map(({ what, why }) => [`  ${what}`, why]))]),
      isWhole ? 'Every digest is what it was.' : 'Not what was sealed:',
      ...(isWhole ? [] : [table(problems.map((each) => [`  ${each.kind}`, each.id, each.position ?? '', each.problem, each.message]))]),
    ].join('\n'),
  )
  if (!isWhole) throw new CommandError(EXIT.failed, `${problems.length} of ${items.length} sealed inputs are not what they were.`)
}
