import { z } from 'zod'
import { isEgressEntry } from '../net/egress.ts'
import { addressOf } from '../net/range.ts'
import { text, word } from './forms.ts'

const entries = z
  .array(
    text(
      'a name such as `example.com`, which stands for all below it too, or a public address; no public suffix such as `co.uk`',
      isEgressEntry,
    ),
  )
  .max(10_000)

const schemes = z
  .array(word('a scheme in lower case without colon', /^[a-z][a-z0-9+.-]{0,31}$/))
  .min(1)
  .max(16)
const ports = z.array(z.int().min(1).max(65_535)).max(64)
const mode = z.enum(['observe', 'enforce'])

/** `egress`: where URLs in the arguments of tools may lead. */
export const egress = z.strictObject({
  mode: mode
    .default('enforce')
    .describe(
      'Whether schemes, ports, lists and names that do not resolve refuse a call, or are recorded as what would have been refused. Private, link-local and metadata addresses refuse either way.',
    ),
  schemes: schemes.default(['http', 'https']).describe('Schemes that URLs may have.'),
  ports: ports.default([]).describe('Ports that URLs may name or mean. Empty: any.'),
  allow: entries
    .default([])
    .describe('Where URLs may lead, by name or address. Empty: everywhere that is public.'),
  deny: entries.default([]).describe('Where they may not, by name or address; wins over `allow`.'),
  resolve: z
    .boolean()
    .default(true)
    .describe(
      'Whether names are resolved, so that a public name of a private address is found; while the DNS does not answer, calls with names in URLs are refused.',
    ),
  resolvers: z
    .array(text('an address of a DNS server, with a port or without', isResolver))
    .min(1)
    .max(8)
    .exactOptional()
    .describe(
      'DNS servers that are asked, such as `192.0.2.53` or `127.0.0.1:5353`. Default: those of the system.',
    ),
})

/** `servers.X.egress`: the same for the tools of one server, key by key in place of `egress`. */
export const serverEgress = z
  .strictObject({
    mode: mode.exactOptional().describe('In place of `egress.mode`.'),
    schemes: schemes.exactOptional().describe('In place of `egress.schemes`.'),
    ports: ports.exactOptional().describe('In place of `egress.ports`.'),
    allow: entries.exactOptional().describe('In place of `egress.allow`.'),
    deny: entries.exactOptional().describe('Beside `egress.deny`, which holds for every server.'),
  })
  .exactOptional()
  .describe('Where URLs in the arguments of its tools may lead, where that differs from `egress`.')

/** `servers.X.tools.Y.urls` */
export const toolUrls = z
  .enum(['judged', 'content'])
  .default('judged')
  .describe(
    'Whether URLs in the arguments are judged by `egress`. `content` is for tools that store or send text in which URLs stand and connect to none of them, such as a writer of files; nothing of it is judged then.',
  )

/** An address, or `address:port` with brackets around IPv6. */
function isResolver(value: string): boolean {
  const [, host = value, port] = /^(\[[^\]]+\]|[^:]+):(\d{1,5})$/.exec(value) ?? []
  return addressOf(host) !== undefined && (port === undefined || (Number(port) > 0 && Number(port) < 65_536))
}
