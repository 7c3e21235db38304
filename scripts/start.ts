// `npm start`: the mesh with its demo plant. More words go to `andon up`.

import { runCli } from '@andon/cli'

process.exitCode = await runCli(['up', '--demo', ...process.argv.slice(2)])
