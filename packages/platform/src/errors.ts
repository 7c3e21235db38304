// Errors of the platform: a code from README.md and a message that says what was found, what is expected and what to do.
export class AndonError extends Error {
  readonly code: string
  constructor(code: string, message: string, options: { cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.code = code
  }
}
