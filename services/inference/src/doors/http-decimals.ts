// Decimals of 16 to 19 digits as doubles, as `Number` reads them and without a text in between: the quotient is taken twice as exactly
// as a double is, and where even that does not say which double is nearer, the caller reads the text.

/** Splits a double into halves whose products are exact (Dekker). */
const splitter = 2 ** 27 + 1
/** More than the error of the lower half of a quotient. */
const doubt = 2 ** -40

/** a × b − p, where p is the double nearest to a × b. */
const productError = (a: number, b: number, p: number): number => {
  const scaledA = splitter * a
  const highA = scaledA - (scaledA - a)
  const lowA = a - highA
  const scaledB = splitter * b
  const highB = scaledB - (scaledB - b)
  const lowB = b - highB
  return highA * highB - p + highA * lowB + lowA * highB + lowA * lowB
}

/**
 * The double nearest to (head × shift + tail) / divisor, or NaN where that is too close to call. Head is below 10^15, shift a power of ten
 * up to 10^4, tail below it, divisor a power of ten up to 10^22.
 */
export const nearestQuotient = (head: number, shift: number, tail: number, divisor: number): number => {
  const product = head * shift
  const rest = productError(head, shift, product) + tail
  const numerator = product + rest
  const lost = rest - (numerator - product)
  const quotient = numerator / divisor
  const back = quotient * divisor
  const correction = (numerator - back - productError(quotient, divisor, back) + lost) / divisor
  const nearest = quotient + correction * (1 - doubt)
  return nearest === quotient + correction * (1 + doubt) ? nearest : NaN
}
