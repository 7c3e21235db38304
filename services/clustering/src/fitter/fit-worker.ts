// Worker thread that fits one class and ends: a fit takes up to seconds, and windows are judged meanwhile.

import { parentPort, workerData } from 'node:worker_threads'
import { toArtefact } from '../class-model.ts'
import { readRequest } from './fit-in-worker.ts'
import { fitClass } from './fit-class.ts'

const result = fitClass(readRequest(workerData))
parentPort?.postMessage(
  result.decision === 'refuse' ? result : { decision: 'activate', artefact: new Uint8Array(toArtefact(result.model)) },
)
