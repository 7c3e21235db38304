// Which open incident's deadline comes first, without looking at all of them: a heap beside the state. It is a cache: a state
// without one gets it by one look at everything, and each fact names the incident to look at again.

import type { Actions } from '@andon/schemas'
import type { Incident, State } from './types.ts'

interface Due {
  readonly dueUs: number
  /** Of equal deadlines the incident opened first. */
  readonly order: number
  readonly incidentId: string
}

interface Index {
  heap: Due[]
  /** What counts of the heap: an entry that is not its incident's is passed over. */
  readonly current: Map<string, Due>
  readonly orders: Map<string, number>
  next: number
  readonly dirty: Set<string>
}

const indexes = new WeakMap<State, Index>()

/** A fact was folded: its incident's deadlines may have changed. */
export const touch = (state: State, record: Actions): void => {
  const index = indexes.get(state)
  if (!index) return
  const id = record.incidentId ?? (record.stepId === null ? undefined : state.steps.get(record.stepId)?.incidentId)
  if (id !== undefined) index.dirty.add(id)
}

export const earliestIncident = (state: State, dueOf: (incident: Incident) => number | undefined): Incident | undefined => {
  const index = indexes.get(state) ?? built(state)
  for (const id of index.dirty) refresh(index, state, id, dueOf)
  index.dirty.clear()
  if (index.heap.length > 2 * index.current.size + 64) {
    index.heap = [...index.current.values()].toSorted((a, b) => (isBefore(a, b) ? -1 : 1))
  }
  for (let top = index.heap[0]; top; top = index.heap[0]) {
    if (index.current.get(top.incidentId) === top) return state.incidents.get(top.incidentId)
    pop(index.heap)
  }
  return undefined
}

const built = (state: State): Index => {
  const index: Index = { heap: [], current: new Map(), orders: new Map(), next: 0, dirty: new Set(state.openIncidents) }
  indexes.set(state, index)
  return index
}

const refresh = (index: Index, state: State, incidentId: string, dueOf: (incident: Incident) => number | undefined): void => {
  const incident = state.openIncidents.has(incidentId) ? state.incidents.get(incidentId) : undefined
  if (!incident) {
    index.current.delete(incidentId)
    index.orders.delete(incidentId)
    return
  }
  const order = index.orders.get(incidentId) ?? index.next++
  index.orders.set(incidentId, order)
  const dueUs = dueOf(incident)
  if (dueUs === index.current.get(incidentId)?.dueUs) return
  if (dueUs === undefined) {
    index.current.delete(incidentId)
    return
  }
  const due = { dueUs, order, incidentId }
  index.current.set(incidentId, due)
  push(index.heap, due)
}

const isBefore = (a: Due, b: Due): boolean => a.dueUs < b.dueUs || (a.dueUs === b.dueUs && a.order < b.order)

const push = (heap: Due[], due: Due): void => {
  let at = heap.length
  heap.push(due)
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!isBefore(due, heap[parent] as Due)) break
    heap[at] = heap[parent] as Due
    at = parent
  }
  heap[at] = due
}

const pop = (heap: Due[]): void => {
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return
  let at = 0
  for (let child = 1; child < heap.length; child = 2 * at + 1) {
    if (child + 1 < heap.length && isBefore(heap[child + 1] as Due, heap[child] as Due)) child += 1
    if (!isBefore(heap[child] as Due, last)) break
    heap[at] = heap[child] as Due
    at = child
  }
  heap[at] = last
}
