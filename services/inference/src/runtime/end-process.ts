// The end of a process with threads that do not come back from native code. Node waits for them when it exits, for as long as they run,
// or aborts; replacing the process's image ends all of its threads at once and leaves an exit code. Everything has been flushed by then.

/** When the process exits while `isStuck` says so, it ends at once, with code 1. */
export const endAroundThreads = (isStuck: () => boolean): void => {
  process.once('exit', () => {
    if (!isStuck()) return
    try {
      process.execve!(process.execPath, [process.execPath, '-e', 'process.exit(1)'], {})
    } catch {
      process.kill(process.pid, 'SIGKILL') // Windows, and where no program may be started
    }
  })
}
