// The simulated log keeps the promises of the log port, and a seed is a schedule that can be had again.

import { openSimulation } from '@andon/kit'
import type { SimulatedLog, Simulation } from '@andon/kit'
import { conformance } from './log-conformance.ts'

const simulations = new Map<string, Simulation>()

conformance('simulation', {
  patienceMs: 1000,
  open: async (namespace) => {
    const simulation = simulations.get(namespace) ?? openSimulation({ seed: simulations.size, partitions: 4, startMs: Date.now() })
    simulations.set(namespace, simulation)
    simulation.play()
    return simulation.openLog(`client ${namespace}`)
  },
  trim: (log, topic, partition, before) => (log as SimulatedLog).trim(topic, partition, before),
  crash: (log) => (log as SimulatedLog).crash(),
})
