// The command line as a function, for `npm start` and tests.

export { runCli } from './cli.ts'
export { EXIT } from './exit.ts'
