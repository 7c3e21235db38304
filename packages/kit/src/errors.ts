// Errors of the mesh: a code, the values a technician needs, the cause, and whether another try can help.

export interface ErrorOptions {
  /** True when the same call may succeed later: the kit retries it instead of dead-lettering the record. */
  readonly retriable?: boolean
  readonly cause?: unknown
  readonly fields?: Readonly<Record<string, unknown>>
  /** HTTP status a door answers with. Default 503 for retriable errors, else 500. */
  readonly status?: number
}

export class AndonError extends Error {
  readonly code: string
  readonly retriable: boolean
  readonly fields: Readonly<Record<string, unknown>>
  readonly status: number

  constructor(code: string, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'AndonError'
    this.code = code
    this.retriable = options.retriable ?? false
    this.fields = options.fields ?? {}
    this.status = options.status ?? (this.retriable ? 503 : 500)
  }
}

/** Raised by the log port. `kind` tells the caller what it may do: try again, give way to a newer owner, or stop. */
export class LogError extends AndonError {
  readonly kind: 'retriable' | 'fenced' | 'fatal'

  constructor(kind: 'retriable' | 'fenced' | 'fatal', code: string, message: string, options: ErrorOptions = {}) {
    super(code, message, { ...options, retriable: options.retriable ?? kind === 'retriable' })
    this.name = 'LogError'
    this.kind = kind
  }
}

/** Problem details (RFC 9457) as every HTTP door answers them; `code` is the stable part. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: string
  readonly fields?: Readonly<Record<string, unknown>>
}

/** The problem an error becomes at a door. What is not an AndonError says nothing about itself to a client. */
export const problemOf = (error: unknown): Problem => {
  if (error instanceof AndonError) {
    return problem(error.status, error.code, error.message, error.fields)
  }
  const code = codeOf(error)
  if (code === 'ANDON_DOCUMENT_INVALID') return problem(422, code, messageOf(error), {})
  const status = statusOf(error)
  if (status !== undefined && status < 500) return problem(status, 'ANDON_REQUEST_INVALID', messageOf(error), {})
  return problem(500, 'ANDON_INTERNAL', 'The service failed while it handled the request; its log says why.', {})
}

/** Message of anything thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Code of anything thrown: Andon's, Node's (`ECONNREFUSED`), or undefined. */
export const codeOf = (error: unknown): string | undefined => {
  const code = typeof error === 'object' && error !== null ? (error as { code?: unknown }).code : undefined
  return typeof code === 'string' ? code : undefined
}

const problem = (status: number, code: string, detail: string, fields: Readonly<Record<string, unknown>>): Problem => ({
  type: `urn:andon:error:${code}`,
  title: titles[status] ?? (status >= 500 ? 'Service error' : 'Request refused'),
  status,
  detail,
  code,
  ...(Object.keys(fields).length === 0 ? {} : { fields }),
})

const titles: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Not authenticated',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'Too slow',
  409: 'Conflict',
  411: 'Length needed',
  413: 'Too large',
  415: 'Media type not supported',
  417: 'Expectation failed',
  422: 'Not valid',
  429: 'Too many requests',
  431: 'Headers too large',
  503: 'Not available now',
}

const statusOf = (error: unknown): number | undefined => {
  const status = typeof error === 'object' && error !== null ? (error as { status?: unknown }).status : undefined
  return typeof status === 'number' && status >= 400 && status < 600 ? status : undefined
}
