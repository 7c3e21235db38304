// Certificates of doors and devices. Imported by its own path (@andon/kit/pki): most services make none.

export * from './names.ts'
export * from './authority.ts'
export * from './request.ts'
