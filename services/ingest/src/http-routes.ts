// What other doors serve on the HTTP door's port: file uploads, enrolment, buttons. Mounted when their doors open, before the port listens.

import type { RequestListener } from 'node:http'

export class HttpRoutes {
  readonly #mounted: { readonly prefix: string; readonly handler: RequestListener }[] = []

  /** Requests whose path is the prefix or lies below it go to the handler, which checks who asks. */
  mount(prefix: string, handler: RequestListener): void {
    this.#mounted.push({ prefix, handler })
  }

  find(path: string): RequestListener | undefined {
    return this.#mounted.find(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`))?.handler
  }
}
