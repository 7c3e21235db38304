// The doors: gRPC, HTTP and metrics under Triton's names, over one catalogue; and the store of latest vectors, which scoring by asset
// id reads.

import { httpPart } from '@andon/kit'
import type { Metrics, Part } from '@andon/kit'
import express from 'express'
import type { Express } from 'express'
import { grpcDoor } from '../doors/grpc-door.ts'
import type { GrpcDoor } from '../doors/grpc-door.ts'
import { doorSettings } from '../doors/settings.ts'
import { restDoor } from '../doors/http-rest.ts'
import { latestVectors } from '../scoring/latest-vectors.ts'
import { RequestHistograms, tritonText } from '../serving/triton-metrics.ts'
import type { RequestTimes } from '../serving/triton-metrics.ts'
import type { Opened, Surroundings } from './opened.ts'

export interface DoorParts {
  readonly parts: readonly Part[]
  readonly ports: () => { readonly grpc: number; readonly http: number; readonly metrics: number }
}

export const doorParts = ({ config, opened, logger, metrics }: Surroundings): DoorParts => {
  const latest = latestVectors(config.redisUrl)
  opened.latest = latest
  const requests = metrics.counter('andon_inference_requests_total', 'Scoring requests through the doors', ['door', 'outcome'])
  const duration = metrics.histogram('andon_inference_duration_seconds', 'Time from scoring request to answer', ['door'])
  const settings = doorSettings(logger)
  const options = (name: 'grpc' | 'http') => ({
    isReady: () => opened.models?.isReady() === true,
    onRequest: ({ isSuccess, durationMs }: { isSuccess: boolean; durationMs: number }): void => {
      requests.inc({ door: name, outcome: isSuccess ? 'success' : 'failure' })
      duration.observe({ door: name }, durationMs / 1000)
    },
    logger,
  })
  const times = new RequestHistograms()
  const shared = {
    serving: () => opened.models!.catalogue,
    settings,
    onTimes: (model: string, of: RequestTimes) => times.observe(model, of),
  }
  const grpc: GrpcDoor = grpcDoor({
    ...options('grpc'),
    ...shared,
    maxMessageBytes: config.maxMessageBytes,
    maxConnections: config.maxConnections,
    host: config.host,
    port: config.grpcPort,
    setting: 'INFERENCE_GRPC_PORT',
  })
  const http = httpPart({
    name: 'http',
    host: config.host,
    port: config.httpPort,
    setting: 'INFERENCE_HTTP_PORT',
    app: restDoor({ ...options('http'), ...shared, maxBodyBytes: config.maxMessageBytes }),
  })
  const scrape = httpPart({
    name: 'metrics',
    host: config.host,
    port: config.metricsPort,
    setting: 'INFERENCE_METRICS_PORT',
    app: metricsApp(opened, times, metrics),
  })
  return { parts: [latest, grpc, http, scrape], ports: () => ({ grpc: grpc.port(), http: http.port(), metrics: scrape.port() }) }
}

/** GET /metrics: Triton's names, then ours. */
const metricsApp = (opened: Opened, times: RequestHistograms, metrics: Metrics): Express => {
  const app = express()
  app.disable('x-powered-by')
  app.get('/metrics', async (_request, response) => {
    response.type(metrics.contentType).send(`${tritonText(opened.models?.catalogue.loaded() ?? [])}${times.text()}${await metrics.text()}`)
  })
  return app
}
