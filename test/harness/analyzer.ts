import { type ServerResponse, createServer } from 'node:http'

/** What the analyzer was asked. */
export interface Asked {
  readonly text: string
  readonly language: string
  readonly entities: readonly string[]
  readonly score_threshold: number
}

type Entity = readonly [words: string, type: string, score?: number]

/**
 * The analyzer API of Presidio, as it is published: a strict reader of questions that finds the words it was given, in code points
 * as Python counts them. It is a fixture, not Presidio.
 */
export class Analyzer {
  readonly asked: Asked[] = []
  readonly authorizations: (string | undefined)[] = []
  entities: readonly Entity[] = []
  token: string | undefined
  /** Answers in place of the API; undefined: the API. */
  instead: ((response: ServerResponse, asked: Asked) => void) | undefined
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      this.authorizations.push(request.headers.authorization)
      if (request.method !== 'POST' || request.url !== '/nlp/analyze')
        return void response.writeHead(404).end()
      if (request.headers['content-type'] !== 'application/json') return void response.writeHead(415).end()
      if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`)
        return void response.writeHead(401).end()
      const asked = JSON.parse(Buffer.concat(chunks).toString()) as Asked
      this.asked.push(asked)
      if (this.instead !== undefined) return this.instead(response, asked)
      const known = ['entities', 'language', 'score_threshold', 'text']
      if (Object.keys(asked).toSorted().join() !== known.join() || asked.text === '')
        return void response.writeHead(500).end('{"error":"No text provided"}')
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(this.#found(asked)))
    })
  })

  #found({ text, entities, score_threshold: least }: Asked): object[] {
    return this.entities.flatMap(([words, type, score = 0.85]) => {
      if (!entities.includes(type) || score < least) return []
      const found: object[] = []
      for (let at = text.indexOf(words); at !== -1; at = text.indexOf(words, at + 1)) {
        const start = Array.from(text.slice(0, at)).length
        found.push({
          entity_type: type,
          start,
          end: start + Array.from(words).length,
          score,
          analysis_explanation: null,
        })
      }
      return found
    })
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/nlp`
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}
