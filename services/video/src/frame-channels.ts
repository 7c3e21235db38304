// Key frames → motion and freeze, two numbers that need no model. A camera that shows the same picture for long is blind,
// whatever its stream says.

/** Small grey pictures are compared: enough to see a machine move, cheap enough for every camera. */
export const frameSize = { width: 160, height: 90 } as const
export const frameBytes = frameSize.width * frameSize.height

/** Blocks of this size are judged on their own, so that a small moving part counts. */
const block = { width: 16, height: 10 }
/** A block that changes by less (grey levels, mean over the block) is taken for noise of the encoder. */
const noiseLevel = 1

export interface FrameReading {
  /** Mean absolute difference to the key frame before, grey levels (0 to 255). */
  readonly motion: number
  /** For how long no part of the picture has changed, seconds. */
  readonly freezeS: number
}

/** Feed it key frames with their times; the first one gives no reading. */
export const frameChannels = () => {
  let previous: Uint8Array | undefined
  let changedUs = 0

  return {
    next(frame: Uint8Array, atUs: number): FrameReading | undefined {
      const before = previous
      previous = frame
      if (before === undefined) {
        changedUs = atUs
        return undefined
      }
      const { mean, largest } = compare(before, frame)
      if (largest >= noiseLevel) changedUs = atUs
      return { motion: mean, freezeS: Math.max(0, (atUs - changedUs) / 1e6) }
    },
    /** After a lost connection: the next frame is a first one. */
    reset() {
      previous = undefined
    },
  }
}

const compare = (a: Uint8Array, b: Uint8Array): { mean: number; largest: number } => {
  let total = 0
  let largest = 0
  for (let top = 0; top < frameSize.height; top += block.height) {
    for (let left = 0; left < frameSize.width; left += block.width) {
      let sum = 0
      for (let y = top; y < top + block.height; y++) {
        const row = y * frameSize.width
        for (let x = left; x < left + block.width; x++) sum += Math.abs(a[row + x]! - b[row + x]!)
      }
      total += sum
      if (sum > largest) largest = sum
    }
  }
  return { mean: total / frameBytes, largest: largest / (block.width * block.height) }
}

/** Cuts a raw byte stream into frames. */
export const frameCutter = (onFrame: (frame: Uint8Array) => void) => {
  let frame = new Uint8Array(frameBytes)
  let filled = 0
  return (chunk: Uint8Array): void => {
    for (let at = 0; at < chunk.length;) {
      const taken = Math.min(frameBytes - filled, chunk.length - at)
      frame.set(chunk.subarray(at, at + taken), filled)
      filled += taken
      at += taken
      if (filled < frameBytes) return
      onFrame(frame)
      frame = new Uint8Array(frameBytes)
      filled = 0
    }
  }
}
