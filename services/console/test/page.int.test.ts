// The built page in a real browser: sign in, understand an incident, decide by keyboard, hold, lose the server, and the rules of
// accessibility in both themes. Behind it the door over a log in memory (desk.ts).

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import type { Browser, Page } from 'playwright-core'
import { build } from 'vite'
import { openDesk, tokens } from './desk.ts'
import type { Desk } from './desk.ts'
import { modelFact, second } from './plant-log.ts'

const browserPath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path))
const flags =
  '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const web = fileURLToPath(new URL('../web', import.meta.url))

describe('the page', { skip: browserPath === undefined ? 'no chromium here: `npm start` installs it' : false }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'console-page-'))
  let browser: Browser
  let desk: Desk
  let page: Page
  let incident: string
  const complaints: string[] = []
  /** No session at first, a wrong token, an address that names nothing. */
  const expected = ['401 /api/session', '404 /api/incidents/nothing']

  before(async () => {
    const dist = join(folder, 'dist')
    await build({ root: web, logLevel: 'error', build: { outDir: dist, emptyOutDir: true } })
    const clip = join(folder, 'clip.mp4')
    const source = ['-f', 'lavfi', '-i', 'testsrc=size=320x180:rate=10:duration=3', '-c:v', 'libx264', '-pix_fmt', 'yuv420p']
    execFileSync('ffmpeg', ['-v', 'error', ...source, '-movflags', '+faststart', clip])
    desk = await openDesk({ page: dist, clip })
    desk.log.model.onModel(modelFact())
    browser = await chromium.launch({ executablePath: browserPath as string, args: flags.split(' ') })
    page = await (await browser.newContext({ viewport: { width: 1366, height: 768 }, reducedMotion: 'reduce' })).newPage()
    page.on('console', (message) => {
      const isOurs = message.type() === 'error' || message.type() === 'warning'
      if (isOurs && !message.text().startsWith('Failed to load resource')) complaints.push(message.text()) // responses are watched below
    })
    page.on('response', (response) => {
      const what = `${response.status()} ${new URL(response.url()).pathname}`
      if (response.status() >= 400 && !expected.includes(what)) complaints.push(what)
    })
    page.on('pageerror', (error) => complaints.push(error.message))
  })
  after(async () => {
    await browser?.close()
    await desk?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  /** Violations of WCAG A and AA, named so that a failure says where. */
  const violations = async (): Promise<string[]> => {
    await page.evaluate(axe)
    const found = await page.evaluate<{ violations: { id: string; nodes: { target: string[] }[] }[] }>(
      `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] })`,
    )
    return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`)
  }
  const inBothThemes = async (what: string): Promise<void> => {
    for (const theme of ['light', 'dark']) {
      await page.evaluate(`document.documentElement.dataset.theme = '${theme}'`)
      assert.deepEqual(await violations(), [], `${what}, ${theme}`)
    }
  }
  /** Waits until an expression holds in the page; asked from outside, for the page itself may not evaluate text. */
  const until = async (expression: string): Promise<void> => {
    for (const end = Date.now() + 5000; Date.now() < end;) {
      if (await page.evaluate<boolean>(expression)) return
      await page.waitForTimeout(20)
    }
    assert.fail(`did not come true: ${expression}`)
  }
  const text = (selector: string): Promise<string> => page.locator(selector).innerText()
  const see = (words: string | RegExp): Promise<void> => page.getByText(words).first().waitFor({ timeout: 5000 })

  test('asks for a token, refuses a wrong one in words, and keeps none where scripts can read it', async () => {
    await page.goto(desk.url)
    await see('Paste a token')
    await inBothThemes('sign-in')
    await page.getByLabel('Token').fill('not-a-token-of-anybody')
    await page.keyboard.press('Enter')
    await see('Nobody has this token')
    await page.getByLabel('Token').fill(tokens.operator)
    await page.keyboard.press('Enter')
    await see('No incident is open')
    assert.equal(await page.evaluate('document.cookie + JSON.stringify(localStorage)'), '{}')
    assert.deepEqual(complaints, [])
  })

  test('an empty plant says what is watched, what is silent, and where every signal comes from', async () => {
    for (const words of [
      'Press 1 main drive',
      'Silent, nothing received',
      'Real recording, replayed',
      'Simulated scene',
      'takes no commands',
    ])
      await see(words)
    desk.log.windows(60)
    await see('Watched')
    await inBothThemes('plant')
    assert.match(await text('.status'), /not a safety function/)
    assert.match(await text('.status'), /2 simulated, 2 real recordings, 0 live/)
  })

  test('a finding appears by itself, first in the queue, with what drives it against its normal', async () => {
    desk.log.windows(90, desk.log.nowUs - 30 * second)
    incident = desk.log.finding()
    desk.log.store(incident, [
      { clipId: 'clip-front', cameraId: 'cam-press-front', bytes: 4000, sha256: 'a'.repeat(64) },
      { clipId: 'clip-rear', cameraId: 'cam-press-rear', bytes: 4000, sha256: 'c'.repeat(64) },
    ])
    await page.getByRole('button', { name: /vibration band 2000-3000 Hz/ }).click()
    await page.getByRole('heading', { level: 1, name: /6.3/ }).waitFor()
    assert.equal(new URL(page.url()).searchParams.get('sel'), incident)
    const drivers = await text('.drivers')
    assert.match(drivers, /RMS 2000 to 3000 Hz\s+0\.279\u202fg\s+0\.0379 to 0\.0442\s+62\u202f%/)
    assert.match(drivers, /Kurtosis\s+8\.1\s+3\.04 to 3\.67/)
    await see('Simulated data')
  })

  test('the trend is drawn, reads by arrow keys, and changes signal from the table', async () => {
    const trend = page.locator('.trend')
    await trend.locator('canvas').waitFor()
    const inked = await page.evaluate<number>(`(() => {
      const canvas = document.querySelector('.trend canvas')
      return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.filter((value, i) => i % 4 === 3 && value > 0).length
    })()`)
    assert.ok(inked > 3000, `${inked} pixels are drawn`)
    const newest = await text('.nowvalue')
    await trend.focus()
    await page.keyboard.press('Shift+ArrowLeft')
    await until(`document.querySelector('.nowvalue').textContent !== ${JSON.stringify(newest)}`)
    await page.getByRole('button', { name: 'Kurtosis' }).click()
    await page.getByRole('img', { name: /^Vibration kurtosis/ }).waitFor()
  })

  test('the clip plays, and the other camera is one press away', async () => {
    const playing = (): Promise<void> =>
      until(`(({ readyState, currentTime }) => readyState >= 2 && currentTime > 0)(document.querySelector('video'))`)
    await playing()
    assert.match((await page.locator('video').getAttribute('src')) ?? '', /clip-front/)
    await page.getByRole('button', { name: 'rear' }).click()
    assert.match((await page.locator('video').getAttribute('src')) ?? '', /clip-rear/)
    await playing()
    await see('Digest on the log')
  })

  test('the effect is spelled out before the button', async () => {
    const panel = await text('.decision')
    for (const words of [
      'Simulated: Pause the line at the next safe point',
      'Work piece stays in the die',
      'until a person resumes; review due after 45 min',
      'line.pause(target=press-line, reviewMinutes=45)',
      'nothing runs',
      'Not a safety function.',
      'No emergency stop active',
    ])
      assert.ok(panel.includes(words), words)
    await inBothThemes('incident')
    assert.deepEqual(complaints, [])
  })

  test('reject needs a reason', async () => {
    const reject = page.getByRole('button', { name: 'Reject' })
    assert.equal(await reject.isDisabled(), true)
    await page.keyboard.press('r')
    await page.keyboard.type('a test stroke')
    assert.equal(await reject.isDisabled(), false)
    await page.getByLabel('Reason, needed to reject').fill('')
    assert.equal(await reject.isDisabled(), true)
    await page.locator('h1').focus()
  })

  test('a hold asks first, shows on every page, turns approve off, and is lifted with a reason', async () => {
    desk.seen.length = 0
    await page.keyboard.press('Shift+H')
    await see('Place a hold')
    assert.equal(desk.seen.length, 0)
    await inBothThemes('hold dialog')
    await page.getByLabel('Line').selectOption({ label: 'Press line 1' })
    await page.getByLabel('Reason', { exact: true }).fill('somebody is in the cell')
    await page.keyboard.press('Enter')
    await see('Hold: no command runs on Press line 1.')
    const [held] = desk.seen
    assert.deepEqual([held?.path, held?.body], ['/v1/holds', { scope: 'press-line', reason: 'somebody is in the cell' }])
    assert.ok(held?.headers['idempotency-key'])
    assert.equal(await page.getByRole('button', { name: 'Approve is off during the hold' }).isDisabled(), true)
    await page.keyboard.press('a')
    assert.equal(await page.getByRole('alertdialog').count(), 0)
    await see('You can still reject')
    await inBothThemes('hold')
    await page.getByRole('button', { name: 'Lift hold' }).click()
    await page.getByLabel('Reason', { exact: true }).fill('empty again')
    await page.keyboard.press('Enter')
    await page.getByRole('button', { name: 'Approve pause' }).waitFor()
  })

  test('offline: what is shown is old and said to be, and deciding is off until the server is back', async () => {
    await desk.goAway()
    await see('Offline since')
    assert.equal(await page.getByRole('button', { name: 'Approve pause' }).isDisabled(), true)
    assert.equal(await page.getByRole('button', { name: 'Hold', exact: true }).isDisabled(), true)
    await see('Expires at')
    await page.keyboard.press('a')
    assert.equal(await page.getByRole('alertdialog').count(), 0)
    assert.deepEqual(await violations(), [])
    await desk.comeBack()
    await page.getByText('Offline since').waitFor({ state: 'detached', timeout: 15_000 })
    assert.equal(await page.getByRole('button', { name: 'Approve pause' }).isDisabled(), false)
  })

  test('A opens the confirmation, Escape leaves it, Enter there sends exactly what was shown', async () => {
    desk.seen.length = 0
    const step = desk.log.step('line.pause')
    await page.keyboard.press('a')
    await page.getByRole('alertdialog').waitFor()
    assert.deepEqual(await violations(), [])
    await page.keyboard.press('Escape')
    await page.getByRole('alertdialog').waitFor({ state: 'detached' })
    assert.equal(desk.seen.length, 0)
    await page.keyboard.press('a')
    await page.getByRole('alertdialog').waitFor()
    assert.match(await text('.confirm'), /Only a person resumes/)
    await page.keyboard.press('Enter')
    await see(/Approved by p-operator/)
    assert.deepEqual(
      desk.seen.map(({ path, body }) => [path, body]),
      [[`/v1/steps/${step.id}/approve`, { commandHash: step.proposal.command.commandHash, reason: '' }]],
    )
    assert.match(await text('.decision'), /approved, not sent yet/)
  })

  test('sent is not done: only what was read back is shown as done', async () => {
    desk.log.intend('line.pause')
    await see('sent, reading back')
    desk.log.settle('line.pause', 'Executed', JSON.stringify({ state: 'paused', mode: 'automatic', tookMs: 900 }))
    await see('done and read back')
    await see('line paused, mode automatic, after 900 ms')
    await see(/Review due/)
  })

  test('a reject with its reason reaches the door', async () => {
    desk.log.wait(second)
    const other = desk.log.finding('e-2', { title: 'Press 1 main drive: RMS 4.6 × its normal limit' })
    desk.seen.length = 0
    await page.getByRole('button', { name: /RMS 4.6/ }).click()
    await page.getByLabel('Reason, needed to reject').fill('known test stroke')
    await page.keyboard.press('Enter')
    await see('rejected, nothing ran')
    const [rejected] = desk.seen
    assert.deepEqual([rejected?.path.split('/').at(-1), rejected?.body['reason']], ['reject', 'known test stroke'])
    assert.equal(desk.log.model.incident(other)?.state, 'open')
  })

  test('the cord: a call raises an incident by hand', async () => {
    await page.keyboard.press('Shift+C')
    await page.getByLabel('What is wrong').fill('Oil under the press')
    await page.keyboard.press('Enter')
    await page.getByRole('button', { name: /Oil under the press/ }).click()
    await see('Raised by hand by p-operator')
    await inBothThemes('call')
  })

  test('an address that names nothing says so, and single-letter keys can be turned off', async () => {
    await page.goto(`${desk.url}/?sel=nothing`)
    await see('The log names no such incident')
    await page.keyboard.press('?')
    await page.getByLabel('Single-letter keys').uncheck()
    await inBothThemes('settings')
    await page.keyboard.press('Escape')
    await page.keyboard.press('Shift+H')
    assert.equal(await page.getByText('Place a hold').count(), 0)
    await page.evaluate('localStorage.clear()')
  })

  test('a role that may not decide sees everything and which role may', async () => {
    const context = await browser.newContext({ viewport: { width: 1366, height: 768 } })
    await context.addCookies([{ name: 'andon_token', value: tokens.viewer, url: desk.url }])
    const other = await context.newPage()
    desk.log.wait(second)
    const id = desk.log.finding('e-3', { title: 'Press 1 main drive: kurtosis 2.2 × its normal limit' })
    await other.goto(`${desk.url}/?sel=${id}`)
    await other.getByText('Deciding needs shift-lead or operator').waitFor()
    assert.equal(await other.getByRole('button', { name: 'Approve pause' }).isDisabled(), true)
    await context.close()
  })

  test('at 390 px: the queue, one incident and back, nothing wider than the screen', async () => {
    await page.setViewportSize({ width: 390, height: 844 })
    const fits = async (what: string): Promise<void> => {
      const [wide, screen] = await page.evaluate<[number, number]>('[document.documentElement.scrollWidth, innerWidth]')
      assert.ok(wide <= screen, `${what} is ${wide} px wide`)
    }
    await page.goto(desk.url)
    await see('Needs a decision')
    assert.equal(await page.locator('.decision').isVisible(), false)
    await fits('queue')
    await page.getByRole('button', { name: /kurtosis 2.2/ }).click()
    await page.getByRole('button', { name: 'Approve pause' }).waitFor()
    assert.equal(await page.locator('.queue').isVisible(), false)
    await fits('incident')
    await inBothThemes('incident at 390 px')
    await page.getByRole('button', { name: /Queue/ }).click()
    await see('Needs a decision')
    await page.getByRole('button', { name: /Plant/ }).click()
    await fits('plant')
    await inBothThemes('plant at 390 px')
  })

  test('the browser had nothing to complain about', () => assert.deepEqual(complaints, []))
})
