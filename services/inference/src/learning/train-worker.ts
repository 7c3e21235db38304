// Worker thread that trains one model and ends. Training takes tens of milliseconds to seconds; gRPC goes on meanwhile.

import { parentPort, workerData } from 'node:worker_threads'
import { train } from './train.ts'
import type { TrainingRequest } from './train.ts'

parentPort?.postMessage(train(workerData as TrainingRequest))
