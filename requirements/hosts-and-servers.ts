import type { Requirement } from './requirement.ts'

/** What is promised to every host and every server: both protocol eras, the bridge between them, real counterparts. */
export const hostsAndServers = {
  'bridge.sealed-state': {
    source:
      'ARCHITECTURE.md section 4, KeyRing; MCP 2026-07-28, basic/patterns/mrtr, server requirements 4 and 5',
    behaviour:
      'what the gate seals opens for its purpose and binding alone: every changed, cut, mixed or foreign text, and one of a key that has ended, opens to nothing',
  },
  'bridge.key-rotation': {
    source: 'ARCHITECTURE.md section 4, KeyRing',
    behaviour:
      'a rotated seal key is taken by a running gate, the older one opens what it sealed until the longest life has passed, and a revoked one opens nothing',
  },
  'hosts.profiles': {
    source: 'PROTOCOL.md section 5; playbook Play 9, hosts',
    behaviour:
      'what is known of each host is data with its source, read by `install`, by tests and by docs/hosts.md',
  },
  'hosts.names-fit': {
    source: 'PROTOCOL.md section 5, consequences for the gateway',
    behaviour:
      'every tool name that the gate shows fits every host together with the entry of the gate, in length and in letters',
  },
  'cli.install': {
    source: 'the promise to every host and every server',
    behaviour:
      "`callgate install` shows a diff without secrets, then puts a host's servers behind the gate and one line of the gate in their place; every other setting survives byte for byte, and what cannot be carried stays with its reason",
  },
  'cli.install-undo': {
    source: 'the promise to every host and every server',
    behaviour:
      '`callgate install --undo` restores the file byte for byte; a file that changed since keeps its changes and gets its servers back',
  },
  'cli.install-policy': {
    source: 'ARCHITECTURE.md section 3, Observe',
    behaviour:
      'servers brought by `install` may be read from, with --observe all of them while a rule records what it would deny; no rule that was there is touched',
  },
  'cli.hosts-export': {
    source: 'issue 6, files for managed hosts; SECURITY.md section 6, vendor allow list',
    behaviour:
      '`callgate hosts export` writes from the servers of the configuration the files by which an administrator lets Claude Code, VS Code and Cursor use the gate alone and none of the servers behind it: the same for the same configuration, with no secret in them, and over no file of somebody else',
  },
  'cli.hosts-check': {
    source: 'issue 6, files for managed hosts',
    behaviour:
      '`callgate hosts export --check` exits 1 and names what differs when a written file no longer matches the configuration; what the administrator added beside the lists does not count',
  },
  'hosts.managed': {
    source: 'issue 6, files for managed hosts',
    behaviour:
      'Claude Code under the written files has the tools of the gate and starts neither a server behind it nor any other, whatever its user configured',
  },
  'bridge.param-headers': {
    source: 'MCP 2026-07-28, basic/transports/streamable-http, custom headers from tool parameters; SEP-2243',
    behaviour:
      'parameters with x-mcp-header are repeated in Mcp-Param headers, coded as the specification says; a missing, repeated, wrong or undecodable one is refused, an annotation against the rules makes the tool invalid',
  },
  'bridge.capability-rule': {
    source:
      'ARCHITECTURE.md section 2; MCP 2026-07-28, basic/patterns/mrtr, server requirement 6; SECURITY.md 3.1 #21',
    behaviour:
      'a server is told of what the host declared and the operator grants, and a question beyond that is refused; roots are answered by the operator alone',
  },
  'bridge.questions': {
    source: 'MCP 2025-06-18, 2025-11-25 and 2026-07-28, client/elicitation and client/sampling',
    behaviour:
      'a question of a server and its answer say the same in each protocol version that can carry them, and one that a version cannot carry is refused',
  },
  'bridge.mrtr': {
    source: 'MCP 2026-07-28, basic/patterns/mrtr',
    behaviour:
      'a result that asks for input is read strictly and within caps, answers are laid beside their questions, and open questions are asked again',
  },
  'bridge.tasks': {
    source: 'MCP 2026-07-28, extension io.modelcontextprotocol/tasks; docs/design/0004-tasks.md',
    behaviour:
      'a task of a modern server reaches the modern host that declared tasks, if the operator grants them; its id opens for that principal on that endpoint alone, each poll, update and cancel is judged and recorded as of its tool, and what the server says of it is read strictly',
  },
  'bridge.parked-state': {
    source: 'ARCHITECTURE.md section 4; MCP 2026-07-28, basic/patterns/mrtr, server requirement 5',
    behaviour:
      'the state of a parked call names node, call, principal, request and expiry, and fits no other principal, no other request and no later time',
  },
  'hosts.real': {
    source: 'PROTOCOL.md sections 4 and 5',
    behaviour:
      'Claude Code, Cline and Continue list and call tools of a stdio server and of an HTTP server over both transports; a policy denial reaches the model as a tool error, and the server stays',
  },
  'hosts.mcp-remote': {
    source: 'the promise to every host and every server',
    behaviour:
      'mcp-remote before the gate lists, calls, and passes a policy denial on as a result of the tool',
  },
  'cli.first-ten-minutes': {
    source: 'the promise to every host and every server',
    behaviour:
      'from a clone to a host behind the gate, the first denied call explained and the first policy in force: at most 8 commands, no file edited by hand, run as the README has them',
  },
  'cli.policy-new': {
    source: 'the promise to every host and every server',
    behaviour:
      '`callgate policy new --from ID` writes for a recorded call a rule as narrow as the call and a golden file with its near misses, which fails without the rule and with a wider one; a running gate has the rule in force before the command ends',
  },
  'cli.policy-new-arguments': {
    source: 'ARCHITECTURE.md section 2, nothing unscreened is recorded',
    behaviour:
      'a drafted rule is bound to argument values only when they are given again and fit the keyed root in the record',
  },
  'cli.policy-new-refusals': {
    source: 'the promise to every host and every server',
    behaviour:
      'of a call that no rule can change `policy new` writes nothing and names the stage that ended it, with what to do there',
  },
  'bridge.aggregated-names': {
    source: 'ARCHITECTURE.md section 3, Names',
    behaviour:
      'on the aggregated endpoint resources and prompts carry their server, in lists, reads, results and notifications',
  },
  'bridge.answers': {
    source: 'MCP 2025-11-25, basic/transports; ARCHITECTURE.md section 4, parked calls',
    behaviour:
      "a server's question reaches its host in the host's era, and its answer is taken from the session that was asked and nobody else",
  },
  'hosts.conformance': {
    source: 'issue 3, must hold 1; modelcontextprotocol/conformance 0.2.0-alpha.12, requirements',
    behaviour:
      'a host and a server of the same era pass every scored scenario of the official suite through the gate, with the content that the server gave',
  },
  'bridge.conformance': {
    source: 'issue 3, must hold 1; PROTOCOL.md section 3',
    behaviour:
      'a host and a server of different eras pass every scored scenario that can exist there; what cannot is a list with reasons, and an entry that passes fails the run',
  },
  'hosts.list-deadline': {
    source: 'issue 3, must hold, 10,000 tools over 100 servers',
    behaviour:
      'the first list of tools waits for servers of which nothing is known, all at once and each at most `listTimeoutMs`; approved tools are listed without waiting, and a warm list asks no server',
  },
  'hosts.unavailable-named': {
    source: 'issue 3, must hold, 10,000 tools over 100 servers; ARCHITECTURE.md section 2, tools/list',
    behaviour:
      'a list of tools names in `_meta` the servers that cannot be asked, with the kind of failure, and none of which policy gives the caller nothing',
  },
  'hosts.unavailable-told': {
    source: 'issue 3, must hold, 10,000 tools over 100 servers',
    behaviour:
      'a server that is dead or hangs is one line of `tail`, and one more when it is back; a server that flaps is told once in ten seconds',
  },
  'hosts.list-pages': {
    source: 'MCP 2025-11-25 and 2026-07-28, server/utilities/pagination',
    behaviour:
      'a list of tools comes in pages of at most 1,000 tools or 1 MiB with a cursor that survives changes of the catalogue; a cursor that no page gave is refused with -32602',
  },
  'eras.sessions': {
    source: 'MCP 2025-11-25, basic/transports, session management; ARCHITECTURE.md section 4',
    behaviour:
      'a legacy session id opens for the session and endpoint that it was given to until DELETE or its end: changed, foreign and ended ones are 404; it survives a key rotation, and a modern host has none',
  },
  'eras.streams': {
    source: 'MCP 2025-11-25, basic/transports, listening for messages; MCP 2026-07-28, subscriptions',
    behaviour:
      'the GET stream and subscriptions/listen stay open, are kept alive, tell what changed, end in order when the gate stops, and a session that opens too many loses the oldest',
  },
  'eras.batches': {
    source: 'MCP 2025-03-26, basic/transports, sending messages',
    behaviour:
      'a batch of at most 64 messages is taken from hosts of 2025-03-26 alone and answered as one; what is refused of one message does not take the answers to the others',
  },
  'bridge.isolation': {
    source: 'issue 3; ARCHITECTURE.md section 5, rule 3; OWASP API1:2023',
    behaviour:
      'of 500 principals that call at once with identical JSON-RPC ids none sees an answer, progress, log message or question of another one, nor can it answer, resume or cancel for it',
  },
  'bridge.disconnect': {
    source: 'issue 3; MCP 2026-07-28, streamable HTTP, cancellation',
    behaviour:
      'a host that stops, cancels or goes at any byte of a call leaves no handle, child, call in flight or memory behind',
  },
  'cli.wrap': {
    source: 'issue 3, item 4; ARCHITECTURE.md section 6',
    behaviour:
      '`callgate wrap -- CMD` is the gate as a stdio server in one process without a port: same pipeline and record, the local user as caller, tools approved at first sight and never again; it leaves nobody behind',
  },
  'bridge.server-questions': {
    source:
      'ARCHITECTURE.md section 2; MCP 2024-11-05 to 2025-11-25, client/sampling, client/elicitation, client/roots; SECURITY.md 3.1 #21',
    behaviour:
      'a request of a legacy server reaches the host of the call that it belongs to and no other, its answer or an error reaches the server; withdrawn, undeclared, repeated and too many ones are ended',
  },
  'bridge.server-notices': {
    source: 'PROTOCOL.md section 3, what a known proxy breaks; MCP 2025-11-25, progress and logging',
    behaviour:
      'every progress and log message of a server reaches the call or the session that it belongs to, the last one before the answer too, and nobody else',
  },
  'eras.server-batches': {
    source: 'MCP 2025-03-26, basic/transports',
    behaviour: 'a batch of a server is read where 2025-03-26 was agreed on, and nowhere else',
  },
  'eras.http-sse': {
    source: 'MCP 2024-11-05, basic/transports; MCP 2025-11-25, backwards compatibility',
    behaviour:
      'a server that has HTTP+SSE alone is found behind the same URL and called; an endpoint at another origin is never spoken to',
  },
  'eras.resumption': {
    source: 'MCP 2025-11-25, basic/transports, resumability; SEP-1699',
    behaviour:
      'a stream that ends before the answer is taken up behind its last event after the wait that the server asks for, and the call is not sent again; where that is impossible its fate is unknown',
  },
  'eras.listening': {
    source: 'MCP 2025-11-25, basic/transports, listening; MCP 2026-07-28, basic/patterns/subscriptions',
    behaviour:
      'what a server tells its session beside calls is heard in both eras and over every transport, again after a break, and gives way to calls when places run out',
  },
  'bridge.known-breaks': {
    source: 'PROTOCOL.md section 3, what a known proxy breaks',
    behaviour:
      'what proxies in the field are measured to break is a list by name, each checked through the gate: sampling, elicitation, MRTR, the last progress notification, Host and Origin, x-mcp-header',
  },
} as const satisfies Record<string, Requirement>
