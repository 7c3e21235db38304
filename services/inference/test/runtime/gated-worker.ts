// The real worker thread behind a gate.

import './gate.ts'
import '../../src/runtime/session-worker.ts'
