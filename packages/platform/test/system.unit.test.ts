// Finding the programs of the machine, and what is said when one is missing or wrong.

import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { findJava, installCommand, javaVersion } from '../src/system.mjs'

const folder = mkdtempSync(join(tmpdir(), 'andon-java-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** A JAVA_HOME that says it is this version. */
const javaHome = (version: string): string => {
  const home = join(folder, version)
  mkdirSync(join(home, 'bin'), { recursive: true })
  writeFileSync(join(home, 'bin', 'java'), '#!/bin/sh\n')
  chmodSync(join(home, 'bin', 'java'), 0o755)
  writeFileSync(join(home, 'release'), `IMPLEMENTOR="test"\nJAVA_VERSION="${version}"\n`)
  return home
}

for (const [version, major] of [
  ['17.0.15', 17],
  ['21', 21],
  ['1.8.0_412', 8],
  ['25-ea', 25],
] as const) {
  test(`Java ${version} is Java ${major}`, () => assert.equal(javaVersion(join(javaHome(version), 'bin', 'java'))?.major, major))
}

test('JAVA_HOME decides when it is set', () => {
  const home = javaHome('21.0.1')
  assert.deepEqual(findJava({ JAVA_HOME: home, PATH: '' }), { path: join(home, 'bin', 'java'), version: '21.0.1' })
})

test('a JAVA_HOME that is too old is named with what was found and expected', () => {
  const home = javaHome('11.0.2')
  assert.match(
    findJava({ JAVA_HOME: home, PATH: process.env['PATH'] }).problem ?? '',
    new RegExp(`JAVA_HOME is ${home}: found Java 11.0.2, expected Java 17`),
  )
})

test('a JAVA_HOME without Java is named', () => {
  assert.match(
    findJava({ JAVA_HOME: '/nowhere', PATH: process.env['PATH'] }).problem ?? '',
    /JAVA_HOME is \/nowhere: found no working .*expected Java 17/,
  )
})

test('a Java on PATH that is too old is named when no other is there', () => {
  const home = javaHome('11.0.2')
  const java = findJava({ PATH: join(home, 'bin') }, join(folder, 'no-jvms'))
  assert.equal(java.found, `${join(home, 'bin', 'java')} is Java 11.0.2`)
  assert.equal(java.isMissing, true)
})

test('one command installs what is missing', () => {
  assert.match(
    installCommand(['java', 'redis'], 'apt'),
    /^sudo apt-get update && sudo apt-get install -y openjdk-17-jre-headless redis-server$/,
  )
  assert.match(installCommand(['java', 'redis'], 'dnf'), /^sudo dnf install -y java-21-openjdk-headless redis$/)
  assert.equal(installCommand(['nats', 'chromium'], 'brew'), 'brew install nats-server && brew install --cask chromium')
})
