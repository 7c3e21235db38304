// Everything on the HTTP door that is not hot: the OpenAPI document and the page that explains every error. By express.

import { readFileSync } from 'node:fs'
import express from 'express'
import type { Express, RequestHandler } from 'express'
import { AndonError, notFoundHandler } from '@andon/kit'
import type { Logger } from '@andon/kit'
import { answerProblem, errorsPath } from './http-answers.ts'
import { batchSchemaText } from './http-avro.ts'
import { openApi, schemaPath } from './http-openapi.ts'

// The README's tables are the one place where codes are explained; the page shows them.
const readmeFile = new URL('../../README.md', import.meta.url)

export const pages = (logger: Logger): Express => {
  const app = express().disable('x-powered-by').disable('etag')
  serve(app, '/openapi.json', (_request, response) => void response.json(openApi()))
  serve(app, schemaPath, (_request, response) => void response.type('json').send(batchSchemaText))
  serve(app, errorsPath, (_request, response) => void response.type('html').send(errorsPage(readFileSync(readmeFile, 'utf8'))))
  app.use(notFoundHandler)
  app.use(((error: unknown, request, response, _next) => {
    if (!(error instanceof AndonError)) logger.error({ err: error, path: request.path }, 'request failed')
    answerProblem(request, response, error)
  }) satisfies express.ErrorRequestHandler)
  return app
}

const serve = (app: Express, path: string, answer: RequestHandler): void => {
  app
    .route(path)
    .get(answer)
    .all((request) => {
      throw new AndonError('ANDON_INGEST_BAD_METHOD', `${path}: found ${request.method}, expected GET`, {
        status: 405,
        fields: { allow: 'GET, HEAD' },
      })
    })
}

/** The README's rows on error codes as a page with an anchor per code. */
export const errorsPage = (readme: string): string => {
  const rows = readme
    .split('\n')
    .filter((line) => line.startsWith('| `ANDON_'))
    .map((line) => line.split(/(?<!\\)\|/).slice(1, -1))
  const items = rows.map(([codes = '', ...rest]) => {
    const names = [...codes.matchAll(/`(ANDON_[A-Z0-9_]+)`/g)].map((match) => match[1])
    const anchors = names.map((name) => `<code id="${name}">${name}</code>`).join(', ')
    return `<tr><td>${anchors}</td>${rest.map((cell) => `<td>${html(cell.trim())}</td>`).join('')}</tr>`
  })
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Errors of ingest</title>
<style>body{font:15px/1.5 system-ui;margin:2rem;max-width:70rem}td{padding:.3rem .8rem;vertical-align:top;border-bottom:1px solid #ddd}:target{background:#ff9}</style>
<h1>Errors of ingest</h1><table><tr><th>Code</th><th>Where</th><th>What to do</th></tr>
${items.join('\n')}
</table></html>
`
}

const html = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll(/`([^`]+)`/g, '<code>$1</code>')
