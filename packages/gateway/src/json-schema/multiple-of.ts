interface Decimal {
  readonly digits: bigint
  readonly exponent: number
}

/** Shortest decimal that reads back as this double: what the JSON text said, when it survives parse and stringify. */
function toDecimal(value: number): Decimal {
  const [mantissa = '0', exponent = '0'] = String(value).split('e')
  const [whole = '0', fraction = ''] = mantissa.split('.')
  return { digits: BigInt(whole + fraction), exponent: Number(exponent) - fraction.length }
}

/**
 * Whether a number is a multiple, in decimal arithmetic: 0.07 is a multiple of 0.01, which binary division denies.
 * Bounded: the widest scale between two doubles is 10^632.
 * @param divisor greater than 0.
 */
export function createMultipleOf(divisor: number): (value: number) => boolean {
  const step = toDecimal(divisor)
  const wholeStep = Number.isSafeInteger(divisor)
  return (value) => {
    if (wholeStep && Number.isSafeInteger(value)) return value % divisor === 0
    const number = toDecimal(value)
    const scale = Math.min(number.exponent, step.exponent)
    const scaled = number.digits * 10n ** BigInt(number.exponent - scale)
    return scaled % (step.digits * 10n ** BigInt(step.exponent - scale)) === 0n
  }
}
