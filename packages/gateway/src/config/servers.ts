import { z } from 'zod'
import { restore, serverDlp, toolBinary } from './dlp.ts'
import { serverEgress, toolUrls } from './egress.ts'
import { WHOLE, duration, grant, isServerUrl, ownCidr, path, text, word } from './forms.ts'
import { toolIdempotency } from './idempotency.ts'
import { toolOwned } from './ownership.ts'
import { clientTls, credentials } from './server-access.ts'

const tool = z.strictObject({
  class: z
    .enum(['read', 'write', 'destructive', 'egress', 'memory', 'poll'])
    .default('write')
    .describe(
      "What the tool does, in the operator's judgement; the annotations of a server are not believed.",
    ),
  labels: z
    .array(word('a word of at most 32 letters, digits, `_` and `-` in lower case', /^[a-z][a-z0-9_-]{0,31}$/))
    .max(16)
    .default([])
    .describe(
      'Words that policy rules can read as `tool.labels`. A token that names `datatypes` is for tools that have labels, and no others than those.',
    ),
  scopes: z
    .array(grant)
    .max(16)
    .default([])
    .describe('Grants that a token must hold, all of them, to call the tool.'),
  urls: toolUrls,
  restore,
  binary: toolBinary,
  idempotency: toolIdempotency,
  owned: toolOwned,
})

const serverEntry = z.strictObject({
  command: z
    .array(z.string().max(32_768))
    .min(1)
    .max(256)
    .refine((argv) => argv[0] !== '', 'a list that begins with a program')
    .exactOptional()
    .describe(
      'Program and arguments of a server that speaks stdio; no shell reads them. `{state}` stands for the state folder. Either command or url.',
    ),
  env: z
    .record(word('a name of letters, digits and `_`', /^[A-Za-z_][A-Za-z0-9_]*$/), z.string().max(32_768))
    .exactOptional()
    .describe(
      'Environment of the program beside a few harmless variables; nothing else is inherited. `{state}` in a value stands for the state folder. Only with command.',
    ),
  cwd: path
    .exactOptional()
    .describe('Folder in which the program runs. Default: the folder of this file. Only with command.'),
  shared: z
    .boolean()
    .exactOptional()
    .describe('One process for all sessions instead of one for each. Default false. Only with command.'),
  url: text('an https URL without user, password and fragment; plain http on loopback only', isServerUrl)
    .exactOptional()
    .describe(
      'Endpoint of a server that speaks Streamable HTTP; plain http on loopback only. Either command or url.',
    ),
  network: z
    .array(ownCidr)
    .max(16)
    .exactOptional()
    .describe(
      'Private ranges that this server may live in; loopback too must be named. Metadata addresses are never reached. Only with url.',
    ),
  tls: clientTls
    .exactOptional()
    .describe(
      'What the gate shows to this server and trusts of it; its files are read again when they change. Only with an https url.',
    ),
  credentials: credentials
    .exactOptional()
    .describe(
      'What the gate shows of itself to this server, never the token of the caller; see docs/upstream-credentials.md. Only with url.',
    ),
  era: z
    .enum(['auto', 'legacy', 'modern'])
    .default('auto')
    .describe(
      'Protocol era of the server: legacy has initialize, modern has metadata in each request; auto finds out.',
    ),
  roots: z
    .array(path)
    .max(64)
    .default([])
    .describe('Folders that the server is told as its roots. Roots of hosts are never passed on.'),
  clientCapabilities: z
    .array(
      z.enum([
        'elicitation.form',
        'elicitation.url',
        'sampling',
        'sampling.tools',
        'sampling.context',
        'tasks',
      ]),
    )
    .max(6)
    .default([])
    .describe(
      'What this server may ask of a host that declares it, in the middle of a call; with `tasks` it may also answer a call by a task that the host polls. Default: nothing. Roots are the ones below `roots`, never those of the host.',
    ),
  assertCaller: z
    .boolean()
    .default(false)
    .describe(
      'Whether each call of a tool carries a signed assertion of its caller in `_meta`, so that the tool can check who owns what the call is about; see docs/upstream-credentials.md.',
    ),
  approve: z
    .enum(['manual', 'first-use'])
    .default('manual')
    .describe(
      'Who approves tools seen for the first time: a person, or nobody (first-use, refused by --strict). An approval is for the publisher: the host, package or image that the server is taken from.',
    ),
  egress: serverEgress,
  dlp: serverDlp,
  timeoutMs: duration(60_000, 100, 3_600_000).describe('Milliseconds until a call without an answer ends.'),
  listTimeoutMs: duration(5_000, 100, 60_000).describe(
    'Milliseconds that a list of tools waits for this server; it then says that the server is unavailable, and the gate goes on trying.',
  ),
  tools: z
    .record(word('a tool name, or a glob with `*` and `?`', /^[A-Za-z0-9_./*?-]{1,128}$/), tool)
    .default({})
    .describe(
      'Class and labels of tools, by name or glob; an exact name wins over a glob, an earlier glob over a later one.',
    ),
})

/** Tells stdio and HTTP servers apart: exactly one of `command` and `url`, and only the keys that go with it. */
export const server = serverEntry
  .superRefine((entry, context) => {
    if ((entry.command === undefined) === (entry.url === undefined)) {
      context.addIssue({ code: 'custom', message: 'needs exactly one of `command` and `url`', params: WHOLE })
    }
    const foreign =
      entry.command === undefined
        ? (['env', 'cwd', 'shared'] as const)
        : (['network', 'tls', 'credentials'] as const)
    for (const key of foreign) {
      if (entry[key] === undefined) continue
      const message =
        entry.command === undefined
          ? 'goes with `command`, not with `url`'
          : 'goes with `url`, not with `command`'
      context.addIssue({ code: 'custom', path: [key], message, params: WHOLE })
    }
  })
  .transform(({ command, env, cwd, shared, url, network, tls: transport, credentials: own, ...common }) => {
    if (command !== undefined) {
      return {
        transport: 'stdio' as const,
        command,
        env: env ?? {},
        cwd: cwd ?? '.',
        shared: shared ?? false,
        ...common,
      }
    }
    return {
      transport: 'http' as const,
      url: url ?? '',
      network: network ?? [],
      ...(transport === undefined ? {} : { tls: transport }),
      ...(own === undefined ? {} : { credentials: own }),
      ...common,
    }
  })
