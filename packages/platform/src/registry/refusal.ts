// What the registry answers instead: HTTP status and Confluent's error code.

export class Refusal extends Error {
  readonly status: number
  readonly code: number
  constructor(status: number, code: number, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

export const refuse = {
  subjectUnknown: (subject: string): Refusal => new Refusal(404, 40401, `Subject '${subject}' not found.`),
  versionUnknown: (version: number | string): Refusal => new Refusal(404, 40402, `Version ${version} not found.`),
  schemaUnknown: (id?: number): Refusal => new Refusal(404, 40403, id === undefined ? 'Schema not found' : `Schema ${id} not found`),
  subjectDeleted: (subject: string): Refusal =>
    new Refusal(404, 40404, `Subject '${subject}' was soft deleted. Set permanent=true to delete permanently`),
  subjectNotDeleted: (subject: string): Refusal =>
    new Refusal(404, 40405, `Subject '${subject}' was not deleted first before being permanently deleted`),
  versionDeleted: (subject: string, version: number): Refusal =>
    new Refusal(404, 40406, `Subject '${subject}' Version ${version} was soft deleted. Set permanent=true to delete permanently`),
  versionNotDeleted: (subject: string, version: number): Refusal =>
    new Refusal(404, 40407, `Subject '${subject}' Version ${version} was not deleted first before being permanently deleted`),
  levelUnset: (subject: string): Refusal =>
    new Refusal(404, 40408, `Subject '${subject}' does not have subject-level compatibility configured`),
  modeUnset: (subject: string): Refusal => new Refusal(404, 40409, `Subject '${subject}' does not have subject-level mode configured`),
  incompatible: (subject: string, messages: readonly string[]): Refusal =>
    new Refusal(
      409,
      409,
      `Schema being registered is incompatible with an earlier schema for subject "${subject}", details: [${messages.join(', ')}]`,
    ),
  schemaInvalid: (why: string): Refusal => new Refusal(422, 42201, `Invalid schema: ${why}`),
  versionInvalid: (version: string): Refusal =>
    new Refusal(
      422,
      42202,
      `The specified version '${version}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string "latest"`,
    ),
  levelInvalid: (): Refusal =>
    new Refusal(
      422,
      42203,
      'Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive',
    ),
  modeInvalid: (): Refusal => new Refusal(422, 42204, 'Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, IMPORT'),
  notPermitted: (why: string): Refusal => new Refusal(422, 42205, why),
}
