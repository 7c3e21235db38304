// ffmpeg as a child process: argument lists, never a shell; errors with its own last words.

import { spawn } from 'node:child_process'
import { AndonError, codeOf } from '@andon/kit'

export interface FfmpegRun {
  readonly cwd: string
  readonly args: readonly string[]
  readonly timeoutMs: number
}

/** Runs ffmpeg to its end at low priority. Rejects with ANDON_VIDEO_FFMPEG when it fails or takes too long. */
export const runFfmpeg = ({ cwd, args, timeoutMs }: FfmpegRun): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn('nice', ['-n', '10', 'ffmpeg', '-hide_banner', '-nostdin', ...args], {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    })
    let out = ''
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2000)))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0) resolve(out)
      else
        reject(
          new AndonError('ANDON_VIDEO_FFMPEG', `ffmpeg ended with ${signal ?? code}: ${said.trim().split('\n').at(-1) ?? ''}`, {
            fields: { args: [...args] },
          }),
        )
    })
  })

/** First line of `ffmpeg -version`; an error that names what is missing when there is none. */
export const ffmpegVersion = async (): Promise<string> => {
  try {
    return await new Promise<string>((resolve, reject) => {
      const child = spawn('ffmpeg', ['-version'], { stdio: ['ignore', 'pipe', 'ignore'] })
      let out = ''
      child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
      child.on('error', reject)
      child.on('close', () => resolve(out.split('\n')[0] ?? ''))
    })
  } catch (error) {
    const found = codeOf(error) === 'ENOENT' ? 'no such program on the PATH' : String(error)
    throw new AndonError(
      'ANDON_VIDEO_NO_FFMPEG',
      `ffmpeg: expected version 5 or newer, found ${found}. Install it (apt install ffmpeg, dnf install ffmpeg, brew install ffmpeg).`,
      { cause: error },
    )
  }
}
