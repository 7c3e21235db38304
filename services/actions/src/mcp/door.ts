// The Model Context Protocol over streamable HTTP, without sessions: every POST has its own server and ends with its answer,
// so any instance of the service can answer any of them. There is no GET: nothing is pushed to agents.

import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import type { Request } from 'express'
import { asyncRoute } from '@andon/kit'
import { mcpServer } from './server.ts'
import type { McpSources } from './server.ts'

export const mcpRoute = (sourcesOf: (request: Request) => McpSources) =>
  asyncRoute(async (request, response) => {
    const server = mcpServer(sourcesOf(request))
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true })
    response.on('close', () => void server.close()) // nothing is left to wait for
    // the SDK's types are not written for exactOptionalPropertyTypes
    await server.connect(transport as Transport)
    await transport.handleRequest(request, response, request.body)
  })
