// A server over a folder of models, without log and registry: catalogue, threads, both doors and backends on other servers.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { createLogger } from '@andon/kit'
import { openBlobs } from '@andon/kit'
import { grpcDoor } from '../src/doors/grpc-door.ts'
import { restDoor } from '../src/doors/http-rest.ts'
import { doorSettings } from '../src/doors/settings.ts'
import { remoteRunners } from '../src/backends/remote-runner.ts'
import { ModelRegistry } from '../src/models/model-registry.ts'
import { threadRuntime } from '../src/runtime/thread-runtime.ts'
import { openCatalogue } from '../src/serving/catalogue.ts'
import type { Catalogue } from '../src/serving/catalogue.ts'
import { modelOpener } from '../src/serving/open-model.ts'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface FolderServer {
  readonly grpcTarget: string
  readonly httpUrl: string
  readonly catalogue: Catalogue
}

export const serveFolder = async (t: Pick<TestContext, 'after'>, path: string): Promise<FolderServer> => {
  const logger = createLogger({ service: 'inference', level: 'fatal' })
  const threads = threadRuntime({ workers: 1, runTimeoutMs: 5_000 })
  const remotes = remoteRunners()
  const blobDir = mkdtempSync(join(tmpdir(), 'andon-blobs-'))
  const defaults = { maxBatchRows: 64, instances: 1, maxQueueSize: 8192 }
  const catalogue = await openCatalogue({
    registry: new ModelRegistry(),
    blobs: await openBlobs(blobDir),
    latest: { get: async () => undefined },
    open: modelOpener({ threads, defaults, nowMs: Date.now, openRemote: (model) => remotes.open(model) }),
    repository: { path, control: 'none', pollMs: 1000 },
    logger,
  })
  await catalogue.started()
  const shared = { serving: () => catalogue, settings: doorSettings(logger), onRequest: () => {}, logger }
  const grpc = grpcDoor({ ...shared, host: '127.0.0.1', port: 0, setting: '', isReady: () => true, maxMessageBytes: 64 * 1024 * 1024 })
  await grpc.start()
  const http = createServer(restDoor({ ...shared, maxBodyBytes: 64 * 1024 * 1024 }))
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  t.after(async () => {
    http.close()
    http.closeAllConnections()
    await grpc.stop()
    await catalogue.close()
    await remotes.close()
    await threads.close()
    rmSync(blobDir, { recursive: true, force: true })
  })
  return {
    grpcTarget: `127.0.0.1:${grpc.port()}`,
    httpUrl: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    catalogue,
  }
}
