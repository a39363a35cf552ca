import type { Requirement } from './requirement.ts'

const spineOf =
  'the spine: a real host calls real tools through policy, and every call leaves a verifiable record'

/** What the spine promises beside the playbook: the wire, the life of a call, the log, the command line. */
export const spine = {
  'spine.dependency-rule': {
    source: 'ARCHITECTURE.md section 1',
    behaviour: 'rooms import only what the dependency rule lets them',
  },
  'spine.errors-registry': {
    source: 'STYLE.md section 3, ERRORS',
    behaviour:
      'every reason code has status, public text and fix, and docs/errors.md and the registry agree in both directions',
  },
  'spine.one-config': {
    source: 'STYLE.md section 3, CONFIG',
    behaviour:
      'configuration is declared once; types, JSON Schema and reference page come from the declaration; an unknown key is refused with line, column and nearest name',
  },
  'spine.safe-defaults': {
    source: 'STYLE.md section 3, CONFIG; OWASP API8:2023',
    behaviour:
      'the least configuration is the strictest one, and strict refuses development issuers, first-use approval and keys over plain HTTP',
  },
  'spine.first-run': {
    source: spineOf,
    behaviour: 'from a fresh clone the printed curl call lists and reads a file through a real server',
  },
  'spine.ignore-scripts': {
    source: spineOf,
    behaviour: 'everything works after an install with `--ignore-scripts`',
  },
  'spine.prerequisites': {
    source: spineOf,
    behaviour: 'a missing prerequisite and a busy port are named with their fix',
  },
  'spine.host-line': {
    source: spineOf,
    behaviour: 'the printed host line works in Claude Code, also for longer than a token lives',
  },
  'spine.clients': {
    source: spineOf,
    behaviour:
      'the Inspector and the clients of SDK v1 and v2 (legacy, auto, pinned) list tools and call one',
  },
  'spine.healthz': {
    source: spineOf,
    behaviour: '`GET /healthz` is 200 once every server has listed or failed once',
  },
  'spine.one-dead-server': {
    source: spineOf,
    behaviour: 'a dead, slow or hostile server never breaks the others',
  },
  'spine.kill-9': {
    source: spineOf,
    behaviour: 'after kill -9 at any moment under load no answered call is without its record',
  },
  'spine.power-loss': {
    source: spineOf,
    behaviour:
      'with unsynced writes dropped or reordered at 1,000 seeded crash points no answered call is without its record; without fdatasync the same test fails',
  },
  'spine.disk-full': {
    source: spineOf,
    behaviour:
      'on a full disk no call of a non-read class goes upstream from the first full write on, none of any class after the first failed append, the read that met it is not answered, refusal takes at most 2 s, and the gate recovers without a restart',
  },
  'spine.bombs': {
    source: 'OWASP API4:2023; CWE-400, CWE-409',
    behaviour:
      'depth, key, size and compression bombs and slow senders are refused having read at most 1 MiB and without JSON.parse, while /healthz answers',
  },
  'spine.scan-caps': {
    source: 'RFC 8259; CVE-2026-27896',
    behaviour:
      'depth 65, 10,001 keys, an escaped twin key and an odd-case twin of an envelope key each have their own code; depth 64 and 10,000 keys pass',
  },
  'spine.scan-corpus': {
    source: 'JSONTestSuite',
    behaviour: 'every verdict of the suite is met, but for duplicate keys, which are refused by design',
  },
  'spine.no-code-generation': {
    source: 'playbook Play 7: "no eval"',
    behaviour: 'the gate runs with code generation from strings switched off',
  },
  'spine.bench': {
    source: 'PERFORMANCE.md section 6',
    behaviour:
      'a small call costs at most 2.2 times the CPU of a bare Node pass-through with everything switched on',
    deferred:
      'not met: 2.3 to 2.7 times (minima 2.2 to 3.0) in six runs on 2 shared cores, 2026-11-23; `npm run bench` tells the figure of today',
  },

  'wire.rule-1': {
    source: 'ARCHITECTURE.md section 5, rule 1; GHSA-g53w-w6mj-hrpp',
    behaviour: 'no header changes who is authenticated or which upstream is used',
  },
  'wire.rule-2': {
    source: 'ARCHITECTURE.md section 5, rule 2; GHSA-g53w-w6mj-hrpp',
    behaviour: 'there is no default secret: keys are made at first start',
  },
  'wire.rule-3': {
    source: 'ARCHITECTURE.md section 5, rule 3; CVE-2026-25536',
    behaviour: 'no upstream connection or session object is shared between principals',
  },
  'wire.rule-4': {
    source: 'ARCHITECTURE.md section 5, rule 4; CVE-2026-27896',
    behaviour:
      'what was checked is what is sent: the envelope is ours, spliced bytes were proven unambiguous',
  },
  'wire.rule-5': {
    source: 'ARCHITECTURE.md section 5, rule 5; CVE-2026-42271',
    behaviour:
      'no endpoint takes a command line; servers start from an argument list without a shell, in a clean environment',
  },
  'wire.rule-6': {
    source: 'ARCHITECTURE.md section 5, rule 6; MCP authorization, token passthrough',
    behaviour: "a caller's token never goes upstream",
  },
  'wire.rule-7': {
    source: 'ARCHITECTURE.md section 5, rule 7; CVE-2026-25536',
    behaviour: 'the MCP SDK is not in the data path',
  },
  'wire.roots': {
    source: 'ARCHITECTURE.md section 2; CVE-2025-53109, CVE-2025-53110',
    behaviour:
      "roots sent upstream are the operator's: behind the gate a file server reads nothing outside its folder, whatever the host declares",
  },
  'wire.capabilities': {
    source: 'ARCHITECTURE.md section 2',
    behaviour:
      "of the host's declared capabilities a server is told those that the operator grants, and nothing by default",
  },
  'wire.host-origin': {
    source: 'CVE-2025-66414, CVE-2025-49596; MCP transports',
    behaviour: 'a Host or Origin outside the lists is refused, always, also on loopback',
  },
  'wire.timeouts': {
    source: 'OWASP API4:2023',
    behaviour: 'slow headers, slow bodies and idle connections are closed, connections are capped',
  },
  'wire.no-compression': { source: 'CWE-409', behaviour: 'a compressed body is refused unread' },
  'wire.policy-denial': {
    source: 'ARCHITECTURE.md section 2, What the caller sees',
    behaviour:
      'a refusal of a tool call is a tool result `isError` with code and evidence id, also where the tool has an output schema',
  },
  'wire.no-oracle': {
    source: 'ARCHITECTURE.md section 2, What the caller sees',
    behaviour: 'no refusal holds rule text, matched data or a stack',
  },

  'mcp.modern': {
    source: 'MCP 2026-07-28',
    behaviour:
      'modern hosts are served: discovery, per-request metadata, header validation, cancel by closing',
  },
  'mcp.legacy': {
    source: 'MCP 2025-11-25 and before',
    behaviour: 'legacy hosts are served: initialize, session id, notifications, cancel',
  },
  'mcp.bridge-modern-legacy': {
    source: 'MCP 2026-07-28, 2025-11-25',
    behaviour: 'a modern host lists, calls, reads, gets, sees progress and cancels at a legacy server',
  },
  'mcp.names': {
    source: 'ARCHITECTURE.md section 3, Names',
    behaviour:
      'names on `/mcp` are unique, at most 46 characters and stable; `/mcp/<server>` gives bare ones',
  },

  'call.fail-closed': {
    source: 'ARCHITECTURE.md section 2; OWASP ASVS 16.5',
    behaviour: 'a stage that throws, hangs or overruns its budget refuses the call',
  },
  'call.outcome-always': {
    source: 'ARCHITECTURE.md section 2',
    behaviour:
      'answered, refused, crashed and cancelled calls all settle every stage that began, in reverse order, and are recorded',
  },
  'call.cancel': {
    source: 'MCP cancellation',
    behaviour: 'a cancelled call reaches the server as a cancel and is recorded as cancelled',
  },
  'call.intent-first': {
    source: 'ARCHITECTURE.md section 2, row 10',
    behaviour: 'nothing reaches an upstream without a durable intent record, unless its class is read',
  },

  'evidence.offline': {
    source: 'C2SP tlog-tiles; RFC 6962',
    behaviour:
      'verification needs no runtime dependency and works beside a live gate; the unsigned tail is reported',
  },
  'evidence.every-byte': {
    source: 'playbook Play 4: "Signed append-only logs"',
    behaviour: 'every single flipped byte of a 20-record log is found',
  },
  'evidence.one-writer': {
    source: 'ARCHITECTURE.md section 4',
    behaviour: 'a second process cannot write to the same state',
  },

  'cli.start': { source: spineOf, behaviour: '`callgate start` runs the gate from callgate.yaml' },
  'cli.demo': {
    source: spineOf,
    behaviour:
      '`callgate demo` shows an allowed call, a denied SSRF, a denied bulk change and a caught definition change, each with its record',
  },
  'cli.tail': {
    source: spineOf,
    behaviour: '`callgate tail` prints one plain line a call with its evidence id',
  },
  'cli.explain': {
    source: spineOf,
    behaviour: '`callgate explain ID` tells who, for whom, what, decision, rule, why and what to do',
  },
  'cli.check': {
    source: spineOf,
    behaviour:
      '`callgate check` reports every problem of configuration and policy with file, line and column',
  },
  'cli.policy': {
    source: spineOf,
    behaviour: '`callgate policy check | test | eval` work without a running gate',
  },
  'cli.token-mint': {
    source: spineOf,
    behaviour: '`callgate token mint` makes a token that the running quickstart takes',
  },
  'cli.servers': {
    source: spineOf,
    behaviour: '`callgate servers` lists servers and pins and approves a waiting change',
  },
  'cli.connect': {
    source: spineOf,
    behaviour: '`callgate connect` speaks stdio to a host and renews its token by itself',
  },
  'cli.connect.remote': {
    source: 'docs/design/0006-enrolment.md',
    behaviour:
      '`callgate connect URL` relays to a gate elsewhere with a key of its own, 0600 in the state folder of the user, and needs a code once',
  },
  'cli.enrol': {
    source: 'docs/design/0006-enrolment.md',
    behaviour: '`callgate enrol` makes, lists and revokes enrolments of the gate that runs here',
  },
  'control.socket': {
    source: 'ARCHITECTURE.md section 1 (control/: own listener, own auth)',
    behaviour:
      'the control API has a listener of its own, a Unix socket that only the user of the gate can open, and none of its verbs is served to hosts',
  },
  'cli.evidence': {
    source: spineOf,
    behaviour: '`callgate evidence verify | show` exit 0 when the log verifies and 1 when it does not',
  },
  'cli.json': {
    source: 'ARCHITECTURE.md section 6',
    behaviour: 'every command takes `--json` and has a clear exit code',
  },
} as const satisfies Record<string, Requirement>
