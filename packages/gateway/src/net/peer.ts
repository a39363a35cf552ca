/**
 * Whom a peer's address stands for where peers are counted. An IPv6 peer counts by its /64, because one customer holds 2^64
 * addresses; an IPv4 one as it is, mapped or not.
 */
export function peerKey(peer: string): string {
  if (!peer.includes(':')) return peer
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(peer)
  if (mapped?.[1] !== undefined) return mapped[1]
  const [head = '', tail] = peer.toLowerCase().split('%', 1)[0]?.split('::', 2) ?? []
  const groups = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const rest = tail === '' ? 0 : tail.split(':').length
    for (let missing = 8 - groups.length - rest; missing > 0 && groups.length < 4; missing--) groups.push('0')
  }
  // A proxy may write leading zeros; the socket never does.
  const prefix = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16))
  return `${prefix.join(':')}::/64`
}
