#!/usr/bin/env node
// The `andon` command.

import { runCli } from './cli.ts'

process.exitCode = await runCli(process.argv.slice(2))
