// Prepares a fresh clone, and costs next to nothing afterwards: Java, Maven, Redis, NATS, ffmpeg (for the tests chromium and counterparts
// too), then npm packages, then Kafka's jars and class archive, then the console's pages. Plain JavaScript for any Node >= 18, since it runs before
// anything is installed. Every step is stamped; with all stamps fresh nothing is started and no network is touched.
//
//   node scripts/bootstrap.mjs --for install|start|test

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PARTS, aptPackages, canInstall, findJava, findPart, installCommand } from '../packages/platform/src/system.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const purpose = process.argv[process.argv.indexOf('--for') + 1] ?? 'start'
if (!['install', 'start', 'test'].includes(purpose)) stop(`bootstrap: --for ${purpose}: expected install, start or test.`)

/** Ends with one message. */
function stop(message) {
  console.error(`\n${message}\n`)
  process.exit(1)
}

/** Runs a step and prints what it took; output of its own passes through. */
function step(title, work) {
  const startedMs = Date.now()
  process.stdout.write(`  ${title} …\n`)
  work()
  process.stdout.write(`  ${title}: ${((Date.now() - startedMs) / 1000).toFixed(1)} s\n`)
}

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex')
const read = (file) => (existsSync(file) ? readFileSync(file, 'utf8') : undefined)

const writeWhole = (file, text) => {
  writeFileSync(`${file}.${process.pid}.tmp`, text)
  renameSync(`${file}.${process.pid}.tmp`, file)
}

// One bootstrap at a time. The lock holds its owner's pid; a lock whose owner is gone is taken over.

const lockFile = join(root, '.bootstrap.lock')
const sleepMs = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)

const isAlive = (pid) => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function takeLock() {
  for (let isSaid = false; ; sleepMs(300)) {
    try {
      writeFileSync(lockFile, String(process.pid), { flag: 'wx' })
      process.on('exit', () => rmSync(lockFile, { force: true }))
      return
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    const owner = Number(read(lockFile))
    // After a restart of the machine the pid may belong to somebody else: no bootstrap takes half an hour.
    const isStale = Date.now() - (statSync(lockFile, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()) > 30 * 60_000
    if (Number.isInteger(owner) && owner > 0 && (isStale || !isAlive(owner))) {
      try {
        if (Number(read(lockFile)) === owner) unlinkSync(lockFile)
      } catch {
        // Somebody else took it over.
      }
    } else if (!isSaid) {
      isSaid = true
      process.stdout.write(`  waiting for another bootstrap (pid ${owner}) …\n`)
    }
  }
}

// npm packages

const npmStamp = join(root, 'node_modules', '.bootstrap')
const npmWant = sha256(readFileSync(join(root, 'package-lock.json')), `${process.platform}-${process.arch}`)

/** True when npm's own record of node_modules has every package of the lock: somebody installed by hand, nothing is to be done. */
function isInstalledByHand() {
  const [wanted, installed] = ['package-lock.json', 'node_modules/.package-lock.json'].map((file) => {
    try {
      return JSON.parse(readFileSync(join(root, file), 'utf8')).packages ?? {}
    } catch {
      return {}
    }
  })
  const entries = Object.entries(wanted).filter(([path]) => path.includes('node_modules/'))
  // Optional packages of other platforms are in the lock and nowhere else.
  const isThere = ([path, { version, integrity, optional }]) =>
    installed[path] === undefined ? optional === true : installed[path].version === version && installed[path].integrity === integrity
  return entries.length > 0 && entries.every(isThere)
}

const isNpmFresh = () => {
  if (read(npmStamp) === npmWant) return true
  if (!isInstalledByHand()) return false
  writeWhole(npmStamp, npmWant)
  return true
}

function installPackages() {
  // npm's own variables of this run would steer the nested one; only where to fetch from is passed on.
  const isForeign = (key) =>
    /^npm_(lifecycle|package)|^npm_config_(?!registry|cache|userconfig|globalconfig|cafile|proxy|https_proxy|noproxy)/i.test(key)
  const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !isForeign(key)))
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const npm = process.env.npm_execpath
  const options = { cwd: root, stdio: 'inherit', env }
  const result = npm ? spawnSync(process.execPath, [npm, ...args], options) : spawnSync('npm', args, options)
  if (result.status !== 0)
    stop(`npm ci failed (${result.error?.message ?? `exit code ${result.status}`}). Check the network, then start again.`)
  writeFileSync(npmStamp, npmWant)
}

/** The pinned Node of the packages; elsewhere than on Linux the system's own, which must be new enough. */
function pinnedNode() {
  const pinned = join(root, 'node_modules', '.bin', 'node')
  if (existsSync(pinned)) return pinned
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
  return stop(
    `This Node is ${process.version}; on ${process.platform}-${process.arch} Andon needs the system's own Node 24 or newer. Install it from https://nodejs.org and start again.`,
  )
}

// System parts

const cache = join(root, '.cache')
const kafkaFolder = join(cache, `kafka-${sha256(readFileSync(join(root, 'packages/platform/kafka/pom.xml'))).slice(0, 12)}`)
const areJarsHere = () => existsSync(join(kafkaFolder, 'lib'))

function neededParts() {
  if (purpose === 'install') return []
  const parts = ['java', 'redis', 'nats', 'ffmpeg']
  if (!areJarsHere()) parts.splice(1, 0, 'maven')
  if (purpose === 'test') parts.push('chromium', 'mosquitto', 'mosquittoClients', 'sftp', 'openssl', 'curl', 'python')
  return parts
}

function run(command, args) {
  const result = spawnSync(command, args, {
    encoding: 'utf8',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    maxBuffer: 64 * 1024 * 1024,
  })
  if (result.status === 0) return
  const output = `${result.stdout ?? ''}${result.stderr ?? ''}`.trim().split('\n').slice(-12).join('\n')
  stop(`${command} ${args.join(' ')} failed:\n${output}`)
}

function installParts(missing) {
  // A policy of 101 keeps apt from starting the servers it installs: they would take the ports of ours.
  const policy = '/usr/sbin/policy-rc.d'
  const isPolicyOurs = !existsSync(policy)
  if (isPolicyOurs) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  process.on('exit', () => isPolicyOurs && rmSync(policy, { force: true }))
  step('apt-get update', () => run('apt-get', ['update', '-q']))
  const packages = aptPackages(missing)
  step(`apt-get install ${packages.join(' ')}`, () => run('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...packages]))
  if (isPolicyOurs) rmSync(policy, { force: true })
}

function provideParts() {
  const java = findJava()
  if (neededParts().includes('java') && java.problem && !java.isMissing && process.env.JAVA_HOME) stop(java.problem)
  const missingParts = () => neededParts().filter((part) => findPart(part) === undefined)
  let missing = missingParts()
  if (missing.length > 0 && canInstall()) {
    installParts(missing)
    missing = missingParts()
  }
  if (missing.length === 0) return
  const note = (part) => (part === 'java' && java.found ? `: ${java.found}` : '')
  const list = missing.map((part) => `  - ${PARTS[part].title}${note(part)}`).join('\n')
  stop(`Andon needs these programs and did not find them:\n${list}\n\nInstall them with\n  ${installCommand(missing)}\nand start again.`)
}

// Kafka and the console

const stampFile = join(cache, 'bootstrap.json')
const stamps = () => {
  try {
    return JSON.parse(read(stampFile) ?? '{}')
  } catch {
    return {}
  }
}
const stamp = (name, value) => {
  mkdirSync(cache, { recursive: true })
  writeWhole(stampFile, JSON.stringify({ ...stamps(), [name]: value }))
}

const kafkaWant = () => `${kafkaFolder} ${findJava().path} ${findJava().version}`
const isKafkaFresh = () => areJarsHere() && stamps().kafka === kafkaWant()

function prepareKafka() {
  const result = spawnSync(pinnedNode(), [join(root, 'packages/platform/src/prepare.ts')], { cwd: root, stdio: 'inherit' })
  if (result.status !== 0) stop('Kafka could not be prepared (see above).')
  stamp('kafka', kafkaWant())
}

const web = join(root, 'services/console/web')
const vite = join(root, 'node_modules/vite/bin/vite.js')

/** Names, sizes and times of the console's sources: cheap to take, changes with every edit. */
function webFingerprint(folder = web) {
  const entries = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.name !== 'dist' && entry.name !== 'node_modules')
  return entries
    .map((entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return webFingerprint(path)
      const { size, mtimeMs } = statSync(path)
      return `${path} ${size} ${mtimeMs}`
    })
    .join('\n')
}

const consoleWant = () => sha256(webFingerprint(), npmWant)
const isConsoleFresh = () =>
  !existsSync(join(web, 'index.html')) || (stamps().console === consoleWant() && [join(web, 'dist'), join(web, '../dist')].some(existsSync))

function buildConsole() {
  const want = consoleWant()
  const result = spawnSync(pinnedNode(), [vite, 'build', web, '--logLevel', 'warn'], { cwd: root, stdio: 'inherit' })
  if (result.status !== 0) stop('The console could not be built (see above).')
  stamp('console', want)
}

// The steps, in order. Each asks again under the lock, since another bootstrap may have done it meanwhile.

const isAllFresh = () =>
  isNpmFresh() &&
  (purpose === 'install' || (neededParts().every((part) => findPart(part) !== undefined) && isKafkaFresh() && isConsoleFresh()))

if (!isAllFresh()) {
  const startedMs = Date.now()
  process.stdout.write(`Preparing Andon (for ${purpose})\n`)
  takeLock()
  if (purpose !== 'install') provideParts() // first: what it cannot install, it says before anything is fetched
  if (!isNpmFresh()) step('npm packages', installPackages)
  if (purpose !== 'install') {
    if (!isKafkaFresh()) step("Kafka's jars and class archive", prepareKafka)
    if (!isConsoleFresh()) step('console pages', buildConsole)
  }
  process.stdout.write(`Prepared in ${((Date.now() - startedMs) / 1000).toFixed(1)} s\n`)
}
