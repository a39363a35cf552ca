/** HalfSipHash-1-3 of an object's number and the bytes in [from, to). Source: Aumasson and Bernstein, SipHash (2012). */
export function halfSip(
  seed: Int32Array,
  owner: number,
  source: Uint8Array,
  from: number,
  to: number,
): number {
  let v0 = seed[0] ?? 0
  let v1 = seed[1] ?? 0
  let v2 = 0x6c796765 ^ v0
  let v3 = 0x74656462 ^ v1
  const words = ((to - from) >> 2) + 2 // the owner, then the bytes; the last word ends with their count
  for (let word = 0; word < words + 3; word++) {
    let m = 0
    if (word === 0) m = owner
    else if (word < words) {
      const i = from + (word - 1) * 4
      if (i < to) m = source[i] ?? 0
      if (i + 1 < to) m |= (source[i + 1] ?? 0) << 8
      if (i + 2 < to) m |= (source[i + 2] ?? 0) << 16
      m |= (i + 3 < to ? (source[i + 3] ?? 0) : to - from) << 24
    } else if (word === words) v2 ^= 0xff
    v3 ^= m
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
    v0 ^= m
  }
  return v1 ^ v3
}
