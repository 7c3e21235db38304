// Types of system.mjs, which stays plain JavaScript so that the bootstrap can read it before anything is installed.

export type PartName =
  | 'java'
  | 'maven'
  | 'redis'
  | 'nats'
  | 'ffmpeg'
  | 'chromium'
  | 'mosquitto'
  | 'mosquittoClients'
  | 'sftp'
  | 'openssl'
  | 'curl'
  | 'python'
export interface Part {
  readonly title: string
  readonly executables: readonly string[]
  readonly apt: string
  readonly dnf: string
  readonly brew: string
}
export declare const MINIMUM_JAVA: number
export declare const PARTS: Readonly<Record<PartName, Part>>
export declare const which: (name: string, env?: NodeJS.ProcessEnv) => string | undefined
export declare const javaVersion: (java: string) => { version: string; major: number } | undefined
export declare const findJava: (
  env?: NodeJS.ProcessEnv,
  jvmFolder?: string,
) => { path?: string; version?: string; problem?: string; isMissing?: boolean; found?: string }
export declare const findPart: (part: PartName, env?: NodeJS.ProcessEnv) => string | undefined
export declare const installCommand: (parts: readonly PartName[], tool?: string) => string
export declare const canInstall: () => boolean
export declare const aptPackages: (parts: readonly PartName[]) => string[]
