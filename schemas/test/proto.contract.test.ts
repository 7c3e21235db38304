// The committed scoring-door code is what the .proto files give today, and speaks the field numbers other clients use.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { ModelInferRequest } from '../generated/proto/inference/grpc_service.ts'
import { generatedProtoDir, generateProto, lintProto } from '../proto/generate.ts'

const filesBelow = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length))
    .sort()

test('regenerating the scoring door from its .proto gives no difference', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'andon-proto-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  lintProto()
  generateProto(dir)
  assert.deepEqual(filesBelow(dir), filesBelow(generatedProtoDir))
  for (const file of filesBelow(dir))
    assert.ok(
      readFileSync(join(dir, file)).equals(readFileSync(join(generatedProtoDir, file))),
      `${file} differs: run node schemas/proto/generate.ts`,
    )
})

test('a request has the wire form of the Open Inference Protocol', () => {
  const request = ModelInferRequest.fromPartial({
    modelName: 'm',
    id: '7',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1n, 2n] }],
    rawInputContents: [Buffer.from('00000000000000aa', 'hex')],
  })
  // model_name 1, id 3, inputs 5 { name 1, datatype 2, shape 3 packed }, raw_input_contents 7
  assert.equal(
    Buffer.from(ModelInferRequest.encode(request).finish()).toString('hex'),
    '0a016d' + '1a0137' + '2a0d' + '0a0178' + '120446503332' + '1a020102' + '3a0800000000000000aa',
  )
})
