// The inside of a worker process: its configuration comes as one argument, what it has to tell goes to standard output line by line,
// and it ends when the run that started it is gone.

/** Reads the configuration. From here on the process ends with the run that started it. */
export const workerConfig = <T>(): T => {
  process.stdin.resume()
  process.stdin.once('end', () => process.exit(1))
  return JSON.parse(process.argv[2] ?? '{}') as T
}

/** One line to the run; written at once, so a kill takes back nothing that was told. */
export const tell = (message: Readonly<Record<string, unknown>>): void => {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

/** Calls `stop` on SIGTERM and ends with 0, as a service does. */
export const onTermination = (stop: () => Promise<void>): void => {
  process.once('SIGTERM', () => {
    stop().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error)
        process.exit(1)
      },
    )
  })
}
