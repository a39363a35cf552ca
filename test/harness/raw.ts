import { type Socket, connect } from 'node:net'

/** What came back over one raw socket until it was closed, or until a whole answer with a length was there. */
export interface RawAnswer {
  /** 0 when nothing came back that reads as HTTP. */
  readonly status: number
  /** Header names in lower case; the last of several wins. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Everything that was read. */
  readonly text: string
  /** Whether the gate closed the connection. */
  readonly closed: boolean
}

/** A connection that was opened by hand, for what no HTTP client would send. */
export class RawConnection {
  readonly socket: Socket
  #text = ''
  #closed = false
  readonly #wakers = new Set<() => void>()

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('latin1')
      this.#wake()
    })
    // A reset is how some refusals arrive; what was read before it counts.
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#closed = true
      this.#wake()
    })
  }

  static open(url: string): Promise<RawConnection> {
    const { hostname, port } = new URL(url)
    return new Promise((resolve, reject) => {
      const socket = connect({ host: hostname, port: Number(port) }, () => resolve(new RawConnection(socket)))
      socket.once('error', reject)
    })
  }

  get closed(): boolean {
    return this.#closed
  }

  get text(): string {
    return this.#text
  }

  write(data: string | Buffer): void {
    if (!this.socket.destroyed) this.socket.write(data)
  }

  /** Waits until the condition holds or the time is up, and says which. */
  async until(condition: () => boolean, ms: number): Promise<boolean> {
    const deadline = performance.now() + ms
    while (!condition()) {
      const left = deadline - performance.now()
      if (left <= 0) return false
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, left)
        const wakers = this.#wakers
        function done(): void {
          clearTimeout(timer)
          wakers.delete(done)
          resolve()
        }
        wakers.add(done)
      })
    }
    return true
  }

  /** Waits for one whole answer. */
  async answer(ms = 5_000): Promise<RawAnswer> {
    await this.until(() => this.#closed || isWhole(this.#text), ms)
    return parseAnswer(this.#text, this.#closed)
  }

  close(): void {
    this.socket.destroy()
  }

  #wake(): void {
    for (const waker of this.#wakers) waker()
  }
}

/** Sends bytes as they are and reads the answer. */
export async function sendRaw(url: string, data: string | Buffer, ms?: number): Promise<RawAnswer> {
  const connection = await RawConnection.open(url)
  connection.write(data)
  const answer = await connection.answer(ms)
  connection.close()
  return answer
}

/** The text of one request, with the headers that every honest one has unless they are replaced. */
export function requestText(
  url: string,
  method: string,
  path: string,
  headers: readonly string[] = [],
  body = '',
): string {
  const given = new Set(headers.map((line) => line.slice(0, line.indexOf(':')).toLowerCase()))
  const lines = [...headers]
  if (!given.has('host')) lines.unshift(`Host: ${new URL(url).host}`)
  if (body !== '' && !given.has('content-length') && !given.has('transfer-encoding')) {
    lines.push(`Content-Length: ${Buffer.byteLength(body)}`)
  }
  return `${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`
}

function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0 || text.startsWith('HTTP/1.1 100')) return false
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, end))?.[1]
  return length !== undefined && text.length >= end + 4 + Number(length)
}

function parseAnswer(text: string, closed: boolean): RawAnswer {
  const end = text.indexOf('\r\n\r\n')
  const [first = '', ...lines] = (end < 0 ? text : text.slice(0, end)).split('\r\n')
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    if (colon > 0) headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
  }
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1] ?? 0)
  return { status, headers, body: end < 0 ? '' : text.slice(end + 4), text, closed }
}
