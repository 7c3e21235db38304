// What the mesh needs from the machine, where to find it and how to install it. Plain JavaScript without dependencies: scripts/bootstrap.mjs
// reads it with any Node >= 18 before anything is installed; `andon up` and `andon doctor` read the same table.

import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readFileSync, readdirSync, realpathSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export const MINIMUM_JAVA = 17

/** Part name → executables that prove it, and its package in each packager. */
export const PARTS = {
  java: {
    title: `Java ${MINIMUM_JAVA} or newer (runs Kafka)`,
    executables: ['java'],
    apt: 'openjdk-17-jre-headless',
    dnf: 'java-21-openjdk-headless',
    brew: 'openjdk@21',
  },
  maven: { title: 'Maven (fetches the jars of Kafka once)', executables: ['mvn'], apt: 'maven', dnf: 'maven', brew: 'maven' },
  redis: { title: 'Redis server', executables: ['redis-server'], apt: 'redis-server', dnf: 'redis', brew: 'redis' },
  nats: { title: 'NATS server', executables: ['nats-server'], apt: 'nats-server', dnf: 'nats-server', brew: 'nats-server' },
  ffmpeg: { title: 'ffmpeg (cameras and clips)', executables: ['ffmpeg'], apt: 'ffmpeg', dnf: 'ffmpeg-free', brew: 'ffmpeg' },
  chromium: {
    title: 'Chromium (tests of the console)',
    executables: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
    apt: 'chromium',
    dnf: 'chromium',
    brew: '--cask chromium',
  },
  mosquitto: {
    title: 'mosquitto (an MQTT broker that is not ours, for the tests)',
    executables: ['mosquitto'],
    apt: 'mosquitto',
    dnf: 'mosquitto',
    brew: 'mosquitto',
  },
  mosquittoClients: {
    title: 'mosquitto_pub and mosquitto_sub (for the tests)',
    executables: ['mosquitto_pub'],
    apt: 'mosquitto-clients',
    dnf: 'mosquitto',
    brew: 'mosquitto',
  },
  sftp: {
    title: 'OpenSSH clients (for the tests)',
    executables: ['sftp'],
    apt: 'openssh-client',
    dnf: 'openssh-clients',
    brew: 'openssh',
  },
  openssl: { title: 'openssl (for the tests)', executables: ['openssl'], apt: 'openssl', dnf: 'openssl', brew: 'openssl' },
  curl: { title: 'curl (for the tests)', executables: ['curl'], apt: 'curl', dnf: 'curl', brew: 'curl' },
  python: {
    title: 'Python 3 with venv (OPC UA and PLC simulators, for the tests)',
    executables: ['python3'],
    apt: 'python3-venv',
    dnf: 'python3',
    brew: 'python3',
  },
}

/** Java packages to try with apt, best first: releases carry different ones. */
const APT_JAVA = ['openjdk-17-jre-headless', 'openjdk-21-jre-headless', 'openjdk-25-jre-headless']

const isExecutable = (path) => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Full path of an executable on PATH (and in the sbin folders, where Debian keeps servers), or undefined. */
export const which = (name, env = process.env) => {
  const folders = [
    ...(env.PATH ?? '').split(delimiter),
    '/usr/local/sbin',
    '/usr/sbin',
    '/usr/bin',
    '/opt/homebrew/bin',
    '/usr/local/bin',
  ].filter(Boolean)
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

/** Version of the Java behind an executable: `{ version: '17.0.15', major: 17 }`, or undefined when it does not run. */
export const javaVersion = (java) => {
  let version
  try {
    const release = join(realpathSync(java), '..', '..', 'release')
    if (existsSync(release)) version = /JAVA_VERSION="([^"]+)"/.exec(readFileSync(release, 'utf8'))?.[1]
  } catch {
    return undefined
  }
  if (version === undefined) {
    const asked = spawnSync(java, ['-version'], { encoding: 'utf8', timeout: 10_000 })
    version = /version "([^"]+)"/.exec(`${asked.stderr}${asked.stdout}`)?.[1]
  }
  if (version === undefined) return undefined
  const numbers = version.split(/[._+-]/).map(Number)
  return { version, major: numbers[0] === 1 ? numbers[1] : numbers[0] }
}

/**
 * The Java to run Kafka with: JAVA_HOME when it is set (and then nothing else), else the one on PATH, else any new enough one in
 * `jvmFolder`. Gives `{ path, version }`, or `{ problem }`: one sentence with what was found and what to do; `isMissing` when installing
 * one helps, and `found` when an older one is there.
 */
export const findJava = (env = process.env, jvmFolder = '/usr/lib/jvm') => {
  if (env.JAVA_HOME) {
    const path = join(env.JAVA_HOME, 'bin', 'java')
    const found = isExecutable(path) ? javaVersion(path) : undefined
    if (found && found.major >= MINIMUM_JAVA) return { path, version: found.version }
    const what = found ? `Java ${found.version}` : `no working ${path}`
    return {
      problem: `JAVA_HOME is ${env.JAVA_HOME}: found ${what}, expected Java ${MINIMUM_JAVA} or newer. Point JAVA_HOME to one, or unset it.`,
    }
  }
  const onPath = which('java', env)
  const jvms = existsSync(jvmFolder) ? readdirSync(jvmFolder).sort().reverse() : []
  let tooOld
  for (const path of [onPath, ...jvms.map((jvm) => join(jvmFolder, jvm, 'bin', 'java')), '/opt/homebrew/opt/openjdk@21/bin/java']) {
    if (path === undefined || !isExecutable(path)) continue
    const found = javaVersion(path)
    if (found && found.major >= MINIMUM_JAVA) return { path, version: found.version }
    if (found) tooOld = tooOld ?? `${path} is Java ${found.version}`
  }
  return {
    problem: tooOld ? `${tooOld}, expected Java ${MINIMUM_JAVA} or newer.` : `Java ${MINIMUM_JAVA} or newer was not found.`,
    isMissing: true,
    ...(tooOld ? { found: tooOld } : {}),
  }
}

/** Path of a part's executable, or undefined when it is not installed. */
export const findPart = (part, env = process.env) => {
  if (part === 'java') return findJava(env).path
  for (const name of PARTS[part].executables) {
    const path = which(name, env)
    if (path) return path
  }
  return undefined
}

const packager = () => (process.platform === 'darwin' ? 'brew' : which('apt-get') ? 'apt' : which('dnf') ? 'dnf' : undefined)

/** The one command that installs the parts on this machine, for a person to run. */
export const installCommand = (parts, tool = packager()) => {
  const packages = parts.map((part) => PARTS[part][tool ?? 'apt'])
  if (tool === 'brew') {
    const casks = packages.filter((name) => name.startsWith('--cask '))
    const plain = packages.filter((name) => !name.startsWith('--cask '))
    return [plain.length > 0 ? `brew install ${plain.join(' ')}` : '', ...casks.map((cask) => `brew install ${cask}`)]
      .filter(Boolean)
      .join(' && ')
  }
  if (tool === 'dnf') return `sudo dnf install -y ${packages.join(' ')}`
  if (tool === 'apt') return `sudo apt-get update && sudo apt-get install -y ${packages.join(' ')}`
  return `install ${packages.join(', ')} with the system's packager`
}

/** Can this process install packages by itself: root, with apt, on Debian or a child of it. */
export const canInstall = () =>
  process.platform === 'linux' && typeof process.getuid === 'function' && process.getuid() === 0 && which('apt-get') !== undefined

/** The apt packages for the parts; of several Java packages the first one this release offers. */
export const aptPackages = (parts) =>
  parts.map((part) => {
    if (part !== 'java') return PARTS[part].apt
    const offered = (name) => /Candidate: (?!\(none\))\S/.test(spawnSync('apt-cache', ['policy', name], { encoding: 'utf8' }).stdout ?? '')
    return APT_JAVA.find(offered) ?? PARTS.java.apt
  })
