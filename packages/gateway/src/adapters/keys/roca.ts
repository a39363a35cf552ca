/** Odd primes up to 167: what the broken generator's primorial is made of for the common key sizes. */
const PRIMES = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107,
  109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
]

/** For each prime the residues that powers of 65537 take. */
const RESIDUES: readonly (readonly [bigint, ReadonlySet<bigint>])[] = PRIMES.map((prime) => {
  const powers = new Set<bigint>()
  for (let power = 1; !powers.has(BigInt(power)); power = (power * 65_537) % prime) powers.add(BigInt(power))
  return [BigInt(prime), powers]
})

/**
 * Whether an RSA modulus carries the fingerprint of the Infineon generator, whose keys can be factored
 * (CVE-2017-15361, "The Return of Coppersmith's Attack", CCS 2017): modulo each small prime it is a power of 65537.
 * A sound modulus passes as one by chance in less than one of 10^8 cases.
 * @param modulus big-endian bytes
 */
export function hasRocaFingerprint(modulus: Uint8Array): boolean {
  const n = BigInt(`0x0${Buffer.from(modulus).toString('hex')}`)
  return RESIDUES.every(([prime, residues]) => residues.has(n % prime))
}
