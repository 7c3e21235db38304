import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { blocksOf, missingLine, runDoc } from './doc-runner.ts'

const fence = '```'
const pageOf = (...blocks: [info: string, text: string][]): string =>
  blocks.map(([info, text]) => `Some words.\n\n${fence}${info}\n${text}\n${fence}\n`).join('\n')

const run = async (page: string): Promise<number> => {
  const folder = mkdtempSync(join(tmpdir(), 'andon-docs-'))
  try {
    const file = join(folder, 'page.md')
    writeFileSync(file, page)
    return await runDoc({ page: file, folder, env: process.env, timeoutMs: 20_000 })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test('blocks mean what their info string says, others are prose', () => {
  const page = pageOf(
    ['ts a.ts', 'x'],
    ['sh', 'y'],
    ['text', 'z'],
    ['ts', 'prose'],
    ['sh skip needs a plant', 'no'],
    ['sh background', 'b'],
  )
  assert.deepEqual(
    blocksOf(page).map(({ kind, name }) => `${kind} ${name}`.trim()),
    ['file a.ts', 'run', 'printed', 'background'],
  )
})

test('a section ends at the next heading that is no deeper; a comment in a command is none', () => {
  const page = `# One\n\n## Two\n\n${pageOf(['sh', '# a comment'], ['sh', 'first'])}\n### Deeper\n\n${pageOf(['sh', 'second'])}\n## Three\n\n${pageOf(['sh', 'third'])}`
  assert.deepEqual(
    blocksOf(page, 'Two').map(({ text }) => text.trim()),
    ['# a comment', 'first', 'second'],
  )
  assert.equal(blocksOf(page).length, 4)
  assert.throws(() => blocksOf(page, 'Four'), /no heading "Four"/)
})

test('printed lines are found in order, with gaps and differing spaces', () => {
  assert.equal(missingLine('a   1\nc … e', 'x\na 1\nb\nc d e\n'), undefined)
  assert.equal(missingLine('b\na', 'a\nb\n'), 'a')
  assert.equal(missingLine('a.c', 'abc'), 'a.c')
})

test('a page runs its files and commands in one folder', async () => {
  assert.equal(await run(pageOf(['js hello.js', 'console.log("hello", 7)'], ['sh', 'node hello.js'], ['text', 'hello …'])), 3)
})

test('a command that fails, and a line that was not printed, end the page with its line', async () => {
  await assert.rejects(run(pageOf(['sh', 'echo so far; false'])), /page\.md:3: ended with 1\nso far/)
  await assert.rejects(run(pageOf(['sh', 'echo one'], ['text', 'two'])), /page\.md:\d+: the block before did not print "two"/)
})

test('what runs in the background ends with the page', async () => {
  const page = pageOf(
    ['sh background', "trap 'exit 0' TERM; echo $$ > pid; while true; do sleep 0.05; done"],
    ['sh', 'while [ ! -s pid ]; do sleep 0.05; done; cat pid'],
    ['text', '…'],
  )
  assert.equal(await run(page), 3)
})
