// Generates TypeScript and the descriptor set (for server reflection) from the .proto files, offline, with buf and ts-proto.
// Run it after a change here: `node schemas/proto/generate.ts`. What it writes is committed; a test compares.

import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const protoDir = fileURLToPath(new URL('.', import.meta.url))
const binDir = fileURLToPath(new URL('../../node_modules/.bin', import.meta.url))

export const generatedProtoDir: string = fileURLToPath(new URL('../generated/proto', import.meta.url))

/** Writes everything that derives from the .proto files into `outDir`. */
export const generateProto = (outDir: string): void => {
  mkdirSync(outDir, { recursive: true })
  const env = { ...process.env, PATH: `${binDir}${delimiter}${process.env['PATH'] ?? ''}` }
  const buf = (...args: string[]): void =>
    void execFileSync(join(binDir, 'buf'), args, { cwd: protoDir, env, stdio: ['ignore', 'ignore', 'pipe'] })
  buf('generate', '--output', resolve(outDir))
  buf('build', '--as-file-descriptor-set', '--exclude-source-info', '-o', join(resolve(outDir), 'descriptors.binpb'))
}

/** Checks the .proto files' style. Throws with buf's findings. */
export const lintProto = (): void =>
  void execFileSync(join(binDir, 'buf'), ['lint'], { cwd: protoDir, stdio: ['ignore', 'inherit', 'pipe'] })

if (process.argv[1] === fileURLToPath(import.meta.url)) generateProto(generatedProtoDir)
