// packages/kit/README.md, run as it stands: its first part teaches the kit on its own.

import { test } from 'node:test'
import { join } from 'node:path'
import { inFolderOfClone, runDoc } from './doc-runner.ts'

test('the README of the kit works as written', { timeout: 240_000 }, () =>
  inFolderOfClone((folder, env) =>
    runDoc({ page: join(import.meta.dirname, '../../packages/kit/README.md'), folder, env }).then(() => undefined),
  ),
)
