import { type Socket, createSocket } from 'node:dgram'
import { isIP } from 'node:net'

/** What a name has: addresses; `[]` no such name; `silence` no answer at all; `failure` SERVFAIL. */
export type DnsAnswer = readonly string[] | 'silence' | 'failure'

const TYPES = { a: 1, aaaa: 28 } as const
const RCODES = { none: 0, failure: 2, noSuchName: 3 } as const

/** A name server over UDP on loopback (RFC 1035), for names that a test makes up; no test asks the real DNS. */
export class DnsServer {
  /** Names that were asked about, in lower case, one a question. */
  readonly asked: string[] = []
  readonly #socket: Socket
  readonly #answer: (name: string) => DnsAnswer

  private constructor(socket: Socket, answer: (name: string) => DnsAnswer) {
    this.#socket = socket
    this.#answer = answer
    socket.on('message', (query, { port, address }) => {
      const reply = this.#reply(query)
      if (reply !== undefined) socket.send(reply, port, address)
    })
  }

  static async start(answer: (name: string) => DnsAnswer): Promise<DnsServer> {
    const socket = createSocket('udp4')
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
    return new DnsServer(socket, answer)
  }

  /** Address and port, as `egress.resolvers` takes it. */
  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()))
  }

  #reply(query: Buffer): Buffer | undefined {
    const labels: string[] = []
    let at = 12
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length))
      at += 1 + length
    }
    const name = labels.join('.').toLowerCase()
    const type = query.readUInt16BE(at + 1)
    this.asked.push(name)
    const answer = this.#answer(name)
    if (answer === 'silence') return undefined
    const rcode =
      answer === 'failure' ? RCODES.failure : answer.length === 0 ? RCODES.noSuchName : RCODES.none
    const records =
      answer === 'failure'
        ? []
        : answer
            .filter((address) => (isIP(address) === 6 ? TYPES.aaaa : TYPES.a) === type)
            .map((address) => record(type, address))
    const head = Buffer.alloc(12)
    query.copy(head, 0, 0, 2)
    head.writeUInt16BE(0x8180 | rcode, 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(records.length, 6)
    return Buffer.concat([head, query.subarray(12, at + 5), ...records])
  }
}

/** One resource record for the name of the question, good for no time at all. */
function record(type: number, address: string): Buffer {
  const data = type === TYPES.a ? Buffer.from(address.split('.').map(Number)) : v6(address)
  const head = Buffer.alloc(12)
  head.writeUInt16BE(0xc00c, 0)
  head.writeUInt16BE(type, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}

function v6(address: string): Buffer {
  const [left = '', right] = address.split('::')
  const words = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16))
  const [before, after] = [words(left), words(right ?? '')]
  const all = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after]
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 0xff]))
}
