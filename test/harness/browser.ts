import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http'
import { type RequestOptions, request as requestTls } from 'node:https'

/** A page, or whatever was answered last. */
export interface Page {
  readonly url: string
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly html: string
}

export interface Sending {
  readonly method?: string
  readonly form?: Readonly<Record<string, string>>
  /** Headers that replace the browser's own; undefined leaves them out. */
  readonly headers?: OutgoingHttpHeaders
}

/** What of a browser matters to a page without script: cookies, redirects, forms, and what it says of where a click came from. */
export class Browser {
  /** By origin and name. */
  readonly cookies = new Map<string, Map<string, string>>()
  readonly #tls: RequestOptions

  constructor(tls: RequestOptions = {}) {
    this.#tls = tls
  }

  setCookie(origin: string, name: string, value: string): this {
    const jar = this.cookies.get(origin) ?? new Map<string, string>()
    this.cookies.set(origin, jar.set(name, value))
    return this
  }

  /** Opens a URL and goes wherever it leads. @param stop does not go where this says so, and gives back the redirect */
  async open(url: string, stop: (location: string) => boolean = () => false): Promise<Page> {
    let page = await this.send(url)
    for (let hops = 0; page.headers.location !== undefined; hops++) {
      if (hops > 10) throw new Error(`too many redirects, the last to ${page.headers.location}`)
      const next = new URL(page.headers.location, page.url).href
      if (stop(next)) return page
      page = await this.send(next)
    }
    return page
  }

  /** Clicks a button of the form in a page, and goes where that leads. */
  async click(page: Page, verdict: string, more: Readonly<Record<string, string>> = {}): Promise<Page> {
    const answer = await this.post(page, verdict, more)
    const { location } = answer.headers
    return location === undefined ? answer : this.open(new URL(location, answer.url).href)
  }

  /** The request that a click sends, and its answer. */
  post(
    page: Page,
    verdict: string,
    more: Readonly<Record<string, string>> = {},
    headers: OutgoingHttpHeaders = {},
  ): Promise<Page> {
    const action = /<form method="post" action="([^"]+)"/.exec(page.html)?.[1]
    const click = /name="click" value="([^"]+)"/.exec(page.html)?.[1]
    if (action === undefined || click === undefined) throw new Error(`no form in ${page.html}`)
    const { origin } = new URL(page.url)
    // Fetch section 3.2: under this policy a form does not say where it came from.
    const from = page.headers['referrer-policy'] === 'no-referrer' ? 'null' : origin
    return this.send(origin + action, {
      form: { click, verdict, comment: '', ...more },
      headers: { origin: from, 'sec-fetch-site': 'same-origin', ...headers },
    })
  }

  /** One request, no redirect followed. */
  send(url: string, { method, form, headers = {} }: Sending = {}): Promise<Page> {
    const { origin, protocol } = new URL(url)
    const jar = [...(this.cookies.get(origin) ?? [])].map(([name, value]) => `${name}=${value}`)
    const body = form === undefined ? undefined : new URLSearchParams(form).toString()
    const all: OutgoingHttpHeaders = {
      ...(jar.length === 0 ? {} : { cookie: jar.join('; ') }),
      ...(body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      ...headers,
    }
    for (const [name, value] of Object.entries(all)) if (value === undefined) delete all[name]
    return new Promise((resolve, reject) => {
      const sending = (protocol === 'https:' ? requestTls : request)(
        url,
        { agent: false, method: method ?? (body === undefined ? 'GET' : 'POST'), headers: all, ...this.#tls },
        (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', reject)
          response.on('end', () => {
            for (const cookie of response.headers['set-cookie'] ?? []) this.#keep(origin, cookie)
            const html = Buffer.concat(chunks).toString()
            resolve({ url, status: response.statusCode ?? 0, headers: response.headers, html })
          })
        },
      )
      sending.on('error', reject)
      sending.end(body)
    })
  }

  #keep(origin: string, line: string): void {
    const [pair = '', ...attributes] = line.split('; ')
    const at = pair.indexOf('=')
    const name = pair.slice(0, at)
    const isSecure = attributes.includes('Secure')
    if (isSecure && !origin.startsWith('https:')) throw new Error(`${line} would not be kept`)
    if (name.startsWith('__Host-') && !(isSecure && attributes.includes('Path=/')))
      throw new Error(`${line} would not be kept`)
    if (line.length > 4_096) throw new Error(`${name} is too long to be kept`)
    this.setCookie(origin, name, pair.slice(at + 1))
    if (attributes.includes('Max-Age=0')) this.cookies.get(origin)?.delete(name)
  }
}
