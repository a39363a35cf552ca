import { type Socket, connect, createServer } from 'node:net'

/** A running forwarder. */
export interface Forwarder {
  /** `127.0.0.1:port`, as clients name it in Host. */
  readonly host: string
  /** Sets where to. Host headers stay as they come, so the gate must allow `host`. */
  forward(to: { readonly port: number; readonly token: () => string }): void
  close(): void
}

const LINE_END = Buffer.from('\r\n')
const HEAD_END = Buffer.from('\r\n\r\n')
/** Longest request head, in bytes; more is no client that this stands before. */
const MAX_HEAD = 65_536

/**
 * Puts `Authorization: Bearer ...` into every request and changes no other byte: the conformance suite has no tokens, and
 * the gate has no switch to work without. It works on bytes, because Node's HTTP would trim header values, name headers its
 * own way and cut streams into other chunks; either side's end, half-close or reset becomes the other's.
 */
export function startForwarder(): Promise<Forwarder> {
  const sockets = new Set<Socket>()
  let target: { readonly port: number; readonly token: () => string } | undefined

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    if (target === undefined) {
      client.destroy()
      return
    }
    const upstream = connect({ port: target.port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    join(client, upstream, authorize(target.token))
    join(upstream, client, (bytes) => bytes)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    }
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      if (typeof address !== 'object' || address === null) throw new TypeError('no port')
      resolve({
        host: `127.0.0.1:${address.port}`,
        forward: (to) => (target = to),
        close() {
          server.close()
          for (const socket of sockets) socket.destroy()
        },
      })
    })
  })
}

/** Sends what comes from one socket to the other, at the pace of the other. */
function join(from: Socket, to: Socket, change: (bytes: Buffer) => Buffer): void {
  from.on('data', (bytes: Buffer) => {
    if (!to.write(change(bytes))) from.pause()
  })
  to.on('drain', () => from.resume())
  from.on('end', () => to.end())
  from.on('error', () => to.resetAndDestroy())
  from.on('close', () => {
    // Without an end the other side hears of it only so: an aborted request must reach the gate as one.
    if (!from.readableEnded) to.destroy()
  })
}

/**
 * Finds the head of each request of a connection and puts the header after its first line.
 * @param token makes a token for each request
 */
export function authorize(token: () => string): (bytes: Buffer) => Buffer {
  let held: Buffer = Buffer.alloc(0)
  /** Bytes of the body that are still to come, or what of a chunked body comes next. */
  let left = 0
  let chunked: 'no' | 'size' | 'data' | 'trailer' = 'no'

  /** The bytes that can go on; undefined when more must come first. */
  function step(): Buffer | undefined {
    if (left > 0) {
      const part = held.subarray(0, left)
      left -= part.length
      if (left === 0 && chunked === 'data') chunked = 'size'
      return take(part.length)
    }
    if (chunked !== 'no') {
      const end = held.indexOf(LINE_END)
      if (end < 0) return undefined
      const line = held.toString('latin1', 0, end)
      if (chunked === 'trailer') {
        if (line === '') chunked = 'no'
      } else {
        const size = Number.parseInt(line, 16)
        chunked = size === 0 ? 'trailer' : 'data'
        // The line end after the data belongs to it.
        if (size > 0) left = size + LINE_END.length
      }
      return take(end + LINE_END.length)
    }
    const end = held.indexOf(HEAD_END)
    if (end < 0) {
      if (held.length > MAX_HEAD) throw new RangeError(`a request head is longer than ${MAX_HEAD} bytes`)
      return undefined
    }
    const head = held.toString('latin1', 0, end + LINE_END.length)
    left = Number(/\r\ncontent-length:[ \t]*(\d+)/i.exec(head)?.[1] ?? 0)
    if (/\r\ntransfer-encoding:[^\r]*chunked/i.test(head)) chunked = 'size'
    const lineEnd = held.indexOf(LINE_END) + LINE_END.length
    const whole = take(end + HEAD_END.length)
    const header = Buffer.from(`Authorization: Bearer ${token()}\r\n`)
    return Buffer.concat([whole.subarray(0, lineEnd), header, whole.subarray(lineEnd)])
  }

  function take(length: number): Buffer {
    const part = held.subarray(0, length)
    held = held.subarray(length)
    return part
  }

  return (bytes) => {
    held = held.length === 0 ? bytes : Buffer.concat([held, bytes])
    const out: Buffer[] = []
    while (held.length > 0) {
      const part = step()
      if (part === undefined) break
      out.push(part)
    }
    return Buffer.concat(out)
  }
}
