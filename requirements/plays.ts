import type { Requirement } from './requirement.ts'

const ISSUER = 'waits for issuer/: the embedded authorization server and its federation'
const NODES = 'waits for the stores that several nodes share'
const EGRESS = 'waits for stages/egress'
const LIMITS = 'waits for stages/limits'
const STEP_UP = 'waits for stages/step-up and the ticket providers'
const TELEMETRY = 'waits for telemetry/: spans, metrics and exporters'
const DETECTIONS = 'waits for detections/'
const RESPONSE = 'waits for stages/switches and response/'
const SUPPLY = 'waits for supply/: signatures, provenance, sandbox'
const RELEASE = 'waits for the release job'
const REDTEAM = 'waits for packages/redteam'
const PROOF = 'waits for canary calls, which tell when each control was last proven'

/** Plays 1 to 10 of the playbook. `play2.x.y` is a part of `play2.x` that is built or proven on its own. */
export const plays = {
  'play1.single-page': {
    source: 'playbook Play 1: "A single page with threats, controls, detections, and response steps"',
    behaviour:
      'one page made from rules/threats/*.yaml and the running config; a threat without a control, a detection, a response or a test fails the build',
  },
  'play1.live': {
    source: 'playbook Play 1: "A single page with threats, controls, detections, and response steps"',
    behaviour:
      'each control on the page shows whether it is on, when it was last proven and how often it fired',
    deferred: PROOF,
  },
  'play1.live.state': {
    source: 'playbook Play 1: "A single page with threats, controls, detections, and response steps"',
    behaviour:
      'each control on the page shows whether the configuration and its policy have it on, on in part, observing or off; the page differs when a control is switched off',
  },
  'play1.live.fired': {
    source: 'playbook Play 1: "A single page with threats, controls, detections, and response steps"',
    behaviour:
      'the log of record tells how often each control refused, changed or would have acted, and when last; a control that cannot be told apart says so',
  },
  'play1.kill-chain': {
    source: 'playbook Play 1: "Threat model and kill-chain"',
    behaviour:
      'each threat carries its kill-chain phase, the page shows where each chain breaks first, second, third; a chain with one break only is flagged',
  },
  'play1.top-risks': {
    source: 'playbook Play 1: "Top risks"',
    behaviour:
      'every top risk of the playbook is a row with its ids in OWASP API 2023, OWASP MCP Top 10, OWASP Agentic 2026, MITRE ATLAS, the NSA guidance on MCP and SAFE-T',
  },

  'play2.tls': {
    source: 'playbook Play 2: "TLS 1.2+ and mTLS MCP↔tools↔APIs, cert rotation ≤ 90 days"',
    behaviour: 'TLS 1.2 or later with sane ciphers; a TLS 1.1 client is refused',
  },
  'play2.tls.plain-loopback': {
    source: 'playbook Play 2: "TLS 1.2+ and mTLS MCP↔tools↔APIs"',
    behaviour:
      'plain HTTP is configured for loopback addresses only: a listener or a server elsewhere is refused at load',
  },
  'play2.mtls-in': {
    source: 'playbook Play 2: "TLS 1.2+ and mTLS MCP↔tools↔APIs"',
    behaviour:
      'client certificates of hosts map to actors by SPIFFE URI, DNS name or subject; revoked, wrong CA, expired, an EKU without clientAuth and wrong SAN are refused',
  },
  'play2.mtls-out': {
    source: 'playbook Play 2: "TLS 1.2+ and mTLS MCP↔tools↔APIs"',
    behaviour: 'the gate shows its own client certificate to tools and APIs',
  },
  'play2.rotation': {
    source: 'playbook Play 2: "cert rotation ≤ 90 days"',
    behaviour:
      'certificates are reloaded without dropping a call, and one that lives longer than 90 days is refused under strict',
  },
  'play2.message-integrity': {
    source: 'RFC 9421, RFC 9530; NSA CSI on MCP (message signing where no mTLS is possible)',
    behaviour:
      'a signed request is served once and for a minute; one changed byte of what means something, or the same request again, is refused',
  },
  'play2.rotation.expiry': {
    source: 'playbook Play 2: "cert rotation ≤ 90 days"',
    behaviour:
      'the end of each certificate and revocation list that TLS uses is a metric, and is told 30, 14, 7, 3 and 1 days before and when it has come',
  },
  'play2.jwt-claims': {
    source:
      'playbook Play 2: "JWT with aud, iss, sub, exp ≤ 10m, nbf, jti replay defense"; RFC 7519, RFC 8725',
    behaviour:
      'aud, iss, sub, iat, exp, nbf and jti are all required and checked, exp - iat is at most 10 minutes, algorithms come from an allow list; each claim missing or wrong is a 401 with its own reason',
  },
  'play2.jwt-claims.jws-corpus': {
    source: 'Project Wycheproof, JSON Web Signature vectors; RFC 7515',
    behaviour:
      'every `invalid` vector fails and every `valid` vector with a listed asymmetric algorithm verifies',
  },
  'play2.jwt-claims.key-rotation': {
    source: 'RFC 7517; RFC 8725 section 3.8',
    behaviour:
      'a new key of an issuer is found by one refetch at a time, a removed key ends the tokens it signed, keys older than one hour without a refresh are not used',
  },
  'play2.strict': {
    source: 'issue 4, must hold; playbook Play 2',
    behaviour:
      '--strict refuses to start with a certificate over 90 days, plain HTTP off loopback, the development issuer, a secret in the environment, approval at first use and a policy that allows everything, each with its fix',
  },
  'play2.bad-token-wave': {
    source: 'issue 4, must hold; OWASP API4:2023',
    behaviour:
      'beside a wave of fresh bad tokens valid callers keep at least 80 % of the goodput that they have beside as many requests without any token',
  },
  'play2.issuer-exceptions': {
    source: 'issue 4: issuers that cannot mint ours; Entra, Okta and Keycloak access token claims',
    behaviour:
      'tokens that lack nbf or jti, live longer or name another audience are refused with the ways out, and accepted only under an exception of their issuer that names what it lets pass and the day it ends',
  },
  'play2.jti-replay': {
    source: 'playbook Play 2: "jti replay defense"',
    behaviour:
      'a bearer token is claimed once, or by one session where the configuration says so; a replayed jti is refused with 401, also after a restart',
  },
  'play2.jti-replay.store-down': {
    source: 'playbook Play 2: "jti replay defense"; OWASP ASVS 16.5 (fail securely)',
    behaviour: 'while claims cannot be made durable every token is refused',
  },
  'play2.jti-replay.bound-tokens': {
    source: 'RFC 9449, RFC 8705',
    behaviour:
      'a token that says it is bound to a key is served to the holder of that key alone: each request brings a DPoP proof that is used once, or comes over a connection of that client certificate',
  },
  'play2.jti-replay.across-nodes': {
    source: 'playbook Play 2: "jti replay defense"',
    behaviour: 'a jti claimed on one node is refused on every other',
    deferred: NODES,
  },
  'play2.purpose': {
    source: 'playbook Play 2: "Purpose-scoped tokens, deny wildcards, short TTL"; RFC 9396',
    behaviour:
      'a call outside the purpose of its token is refused with 403 insufficient_scope and one complete challenge; a token may only narrow',
  },
  'play2.no-wildcards': {
    source: 'playbook Play 2: "deny wildcards"',
    behaviour: 'a token with a grant that holds `*` is refused when it is read',
  },
  'play2.idempotency': {
    source: 'playbook, What you will ship: "mTLS, JWT claims, replay defense, rate limits, idempotency"',
    behaviour:
      'the same key twice gives one upstream effect, and the same key with another payload is refused',
  },
  'play2.idempotency.nodes': {
    source: 'playbook, What you will ship: "mTLS, JWT claims, replay defense, rate limits, idempotency"',
    behaviour: 'two calls of one key at the same time on two machines give one upstream effect',
    deferred: NODES,
  },
  'idempotency.bounds': {
    source: 'ARCHITECTURE.md section 4, IdempotencyStore; OWASP API4:2023',
    behaviour:
      'what is remembered of idempotency keys is bounded in keys, keys of a caller, bytes of answers and time, and no key is forgotten to make room',
  },
  'play2.no-passthrough': {
    source: 'playbook Play 2: "Purpose-scoped tokens"; MCP authorization, token passthrough',
    behaviour: "the caller's token is never seen by an upstream, in any header, environment, argument or log",
  },
  'identity.caller-assertion': {
    source: 'issue 4, upstream credentials; OWASP API1:2023',
    behaviour:
      'a server that is told of its callers gets a signed one-minute assertion of caller, tool and argument bytes, and packages/guard and a sample in Python refuse every change of it',
  },
  'identity.exchange-per-principal': {
    source: 'RFC 8693',
    behaviour:
      'an exchanged token is shared only by calls of the same issuer, tenant, actor, subject, client and grants',
  },
  'identity.user-consent': {
    source: 'RFC 6749 section 4.1, RFC 7009, RFC 7636, RFC 9207',
    behaviour:
      'a server that acts in a person’s name is called by a token that this person consented to, for one agent, until he, the operator, the issuer or the server ends it; without one the call is refused and says what to do',
  },
  'identity.user-consent.phishing': {
    source: 'RFC 8252 section 7.3; MCP elicitation, URL mode: phishing',
    behaviour:
      'a code comes back to the machine that asked for it, and counts once, for the caller who began alone',
  },
  'identity.user-consent.sealed': {
    source: 'RFC 9700 section 4.14; ARCHITECTURE.md section 4, KeyRing',
    behaviour:
      'tokens of persons are kept sealed to their server, person and client; none is in a file, record or output',
  },
  'identity.token-answer-strict': {
    source: 'RFC 6749 sections 3.3 and 5.1, RFC 8693 section 2.2.1',
    behaviour:
      'a token that is wider than asked for, of another kind or malformed is never shown to a server, and no message repeats what the endpoint said',
  },
  'identity.credential-single-flight': {
    source: 'issue 4, upstream credentials',
    behaviour: 'one request obtains credentials however many calls wait, and failures and 401s back off',
  },
  'secrets.by-reference': {
    source: 'playbook Hardening checklist: "Secrets in KMS, no prod secrets in env"',
    behaviour:
      'a secret is named by file, exec, env, vault, awssm, awskms or pkcs11 reference; any other text is refused without being quoted',
  },
  'secrets.untold': {
    source: 'issue 4, "Secrets never appear in logs, spans, evidence, errors or --json"; OWASP MCP01',
    behaviour:
      'an error, a record and a diff name the place of a secret, never the secret: not of references with arguments, of addresses with passwords or queries, of the environment and last words of servers, of options and files that are wrong',
  },
  'secrets.no-env-strict': {
    source: 'playbook Hardening checklist: "Secrets in KMS, no prod secrets in env"',
    behaviour: 'an `env:` reference is refused by --strict with its fix',
  },
  'secrets.never-printed': {
    source: 'playbook Hardening checklist: "Secrets in KMS, no prod secrets in env"',
    behaviour: 'a secret shows in no string, JSON, inspection or error of any source',
  },
  'secrets.last-good': {
    source: 'issue 4, secrets by reference',
    behaviour:
      'one question at a time per reference; a value serves its time to live, and one hour while its source is down; a source that says no ends it at once',
  },
  'secrets.files-private': {
    source: 'issue 4, secrets by reference',
    behaviour: 'a secret file that group or others may use is refused',
  },
  'secrets.no-metadata': {
    source: 'SECURITY.md 1.2; OWASP API7:2023',
    behaviour: 'no secret is read from a link-local or metadata address, by literal or by name',
  },
  'secrets.hsm': {
    source: 'issue 4, secrets by reference',
    behaviour: 'a data object of a PKCS #11 token is read, and a PIN that was refused is not tried twice',
  },
  'secrets.hsm.signing': {
    source: 'issue 4, secrets by reference; playbook Hardening checklist: "Secrets in KMS"',
    behaviour:
      'a private key that never leaves its PKCS #11 token proves the gate to a token endpoint, and signs what it asserts of its callers in a token exchange',
  },
  'evidence.hsm': {
    source: 'issue 4, secrets by reference ("signing keys may stay in the HSM"); SECURITY.md 1.1',
    behaviour:
      'checkpoints of the log are signed by a key that never leaves its PKCS #11 token; while it does not sign, calls that change something are refused, and it recovers without a restart',
  },
  'play2.no-passthrough.own-credentials': {
    source: 'RFC 8693, RFC 6749 section 4.4',
    behaviour:
      'the gate shows credentials of its own upstream: token exchange, client credentials, a static secret by reference, mTLS',
  },
  'play2.oauth-rs': {
    source: 'RFC 9728, RFC 8707, MCP authorization',
    behaviour:
      'a host logs in from a clean machine through the embedded authorization server (PKCE, CIMD, DCR, refresh) that federates to the company',
    deferred: ISSUER,
  },
  'play2.oauth-rs.metadata': {
    source: 'RFC 9728 section 3, RFC 6750 section 3',
    behaviour:
      'each endpoint publishes its protected-resource metadata, and every 401 and 403 carries one complete challenge that names it',
  },
  'play2.enrolment': {
    source: 'docs/design/0006-enrolment.md, RFC 9068, RFC 9449',
    behaviour:
      'a key that an operator enrolled opens calls for exactly the actor, subject, tenant and scope that were enrolled, by tokens that it signs itself and proves with each request',
  },
  'play2.enrolment.code': {
    source: 'docs/design/0006-enrolment.md',
    behaviour:
      'an enrolment code is kept as its hash, redeemed once however many try at once, ends with its time, and tells nothing about why it is refused',
  },
  'play2.enrolment.revoke': {
    source: 'docs/design/0006-enrolment.md, SECURITY.md 1.1',
    behaviour:
      'revoking an enrolment ends at once the tokens, calls and streams of its key, and a gate that starts again still knows it',
  },
  'play2.detection': {
    source: 'playbook Play 2: "Detection idea (KQL-ish)"',
    behaviour: 'allow + agent + write grant + more than 900 s of life raises a finding',
    deferred: DETECTIONS,
  },

  'play3.rules': {
    source: 'playbook Play 3: "Policy examples"',
    behaviour: "the playbook's two rules load unchanged, deny what they should and pass the near misses",
  },
  'play3.rules.url-facts': {
    source: 'playbook Play 3: "block-ssrf"',
    behaviour:
      'a rule on `url` is judged once per URL in the arguments: one bad URL among good ones is denied, a call without any URL is not',
  },
  'play3.rules.erroring': {
    source: 'OWASP ASVS 16.5 (fail securely)',
    behaviour:
      'an erroring deny rule applies, an erroring allow rule does not grant, and the error stands in the decision',
  },
  'play3.decisions': {
    source: 'playbook Play 3: "Redaction for prompts and outputs, region routing", "Require ticket"',
    behaviour: 'redact, route, require_ticket, require_approval and defer each work end to end',
    deferred: STEP_UP,
  },
  'play3.decisions.observe': {
    source: 'playbook Play 3: "Prevent before detect"',
    behaviour: 'a rule in `mode: observe` changes no decision and is recorded as what would have matched',
  },
  'play3.decisions.redact': {
    source: 'playbook Play 3: "Inline allow, deny, redact"',
    behaviour:
      'a rule takes kinds of data out of the arguments or results of the calls that it is about, whatever `dlp` does or lets pass',
  },
  'play3.decisions.defer': {
    source: 'ARCHITECTURE.md section 3: "deny > defer > step_up"',
    behaviour:
      'a rule puts a call off that is allowed: it is refused for now, and told when it may be made again',
  },
  'play3.decisions.hot-reload': {
    source: 'playbook Play 3: "Prevent before detect"',
    behaviour:
      'changed policy files are swapped whole without dropping a call; a file that does not load leaves the last good policy in force',
  },
  'play3.typed': {
    source: 'playbook Play 3: "Allow lists and strict input schemas"; CEL specification, type checking',
    behaviour:
      'conditions are type-checked at load against the pinned input schemas; `args.cnt` for `args.count` is refused with file, line, column and the nearest name',
  },
  'play3.rules.scale': {
    source:
      'issue 6: "1,000 rules, 10,000 tools: rules, entries and bytes touched per call equal to those with 10 rules (counted)"',
    behaviour:
      'of 1,000 rules and 10,000 pinned tools a call evaluates as many rules, and looks at as many members of its arguments, as of 10',
  },
  'play3.cel-corpus': {
    source:
      'issue 6: "corpora/cel: at least basic, lists, integer_math, timestamps are claimed and pass, misses named"',
    behaviour:
      'of the cel-spec cases that a condition can ask, each file has its number of right verdicts and none that is wrong; the others are refused at load, counted by what is refused',
  },
  'play3.cel-corpus.timestamps': {
    source:
      'issue 6: "corpora/cel: at least basic, lists, integer_math, timestamps are claimed and pass, misses named"',
    behaviour:
      'timestamps and durations are part of conditions; the cases of corpora/cel/timestamps pass, and random times have the verdict of a second implementation',
  },
  'play3.cel-cost': {
    source:
      'issue 6: "evaluation bounded: cost computed at load from the syntax tree and input caps, over it the rule does not load (fuzzed)"',
    behaviour:
      'what a condition may cost on an ordinary call is computed when it is loaded, faults apart; one that may cost more than a decision has steps is refused, and a larger call is bounded by its steps',
  },
  'play3.broken-rules': {
    source: 'issue 6: "At least 60 broken rules found at load with the right line and a useful message"',
    behaviour:
      'more than 60 kinds of broken rules are told at load, each with its line, its column and what to write instead; their near misses load',
  },
  'play3.allow-lists': {
    source: 'playbook Play 3: "Allow lists and strict input schemas"',
    behaviour:
      'nothing is allowed unless a rule allows it, and what the list shows and what a call may do agree',
  },
  'play3.strict-schema': {
    source: 'playbook Play 3: "strict input schemas"; JSON Schema 2020-12',
    behaviour:
      "arguments must fit the tool's own pinned schema; unknown members and prototype keys are refused",
  },
  'play3.strict-schema.corpus': {
    source: 'JSON Schema Test Suite, draft 2020-12 and draft 7',
    behaviour:
      'no row of the suite is wrongly accepted, at least 95 % of the required rows get the right verdict, refused constructs are listed by name',
  },
  'play3.strict-schema.hostile': {
    source: 'CWE-1333, CWE-400',
    behaviour: 'a 2^22 `$ref` bomb and the pattern `^(a+)+$` are bounded',
  },
  'play3.redaction.detect': {
    source: 'playbook Play 3: "Redaction for prompts and outputs"',
    behaviour:
      'mail addresses, telephone, card and account numbers, social security and other national numbers and network addresses are found whole in a text, by their check digits and their form',
  },
  'play3.redaction.secrets': {
    source: 'playbook Play 3: "Redaction for prompts and outputs"; OWASP MCP01',
    behaviour:
      'tokens are found by their own form, keys and passwords by the name that they are given to, in URLs and in commands, and private keys; stand-ins, references and hashes are not',
  },
  'play3.hidden-text': {
    source: 'SECURITY.md 3.1, threat 2; Trail of Bits 2025',
    behaviour:
      'terminal controls, tag characters, bidirectional overrides, characters without width and variation selectors are found; those that scripts and emoji need are not',
  },
  'play3.redaction': {
    source: 'playbook Play 3: "Redaction for prompts and outputs"',
    behaviour:
      'personal data, secrets and hidden text in arguments and answers are counted, replaced, hashed, masked, dropped or denied by class and direction, also where they stand in JSON or base64 inside a text',
  },
  'play3.redaction.binary': {
    source: 'playbook Play 3: "Redaction for prompts and outputs"; issue 5, item 1',
    behaviour:
      'pictures, sound, PDF and other files are told apart by their bytes, counted, dropped for a text or denied by kind, server and tool; what is not what it claims to be gets the strictest of that',
  },
  'play3.redaction.detector': {
    source: 'playbook Play 3: "Redaction for prompts and outputs"; issue 5, item 1',
    behaviour:
      "names and places that the operator's detector finds are treated as our own findings are; while it gives no answer calls are refused, or pass counted where the operator says so",
  },
  'play3.redaction.write-back': {
    source: 'issue 5, actions by class and direction',
    behaviour: 'a placeholder that stands for redacted data is never written over that data',
  },
  'play3.injection-signal': {
    source: 'issue 5, injection signal; SECURITY.md 4.6',
    behaviour:
      'an answer that reads like instructions to the model marks its session before it reaches the host, for at least 8 hours and over restarts, where a rule reads `session.labels`',
  },
  'play7.poisoned-definitions': {
    source: 'SECURITY.md 3.1, threat 1; OWASP MCP03',
    behaviour:
      'a definition that reads like instructions to the model waits for approval with the reason and its risk, the riskiest first, and a served tool that turns so is withheld',
  },
  'play3.redaction.reversible': {
    source: 'issue 5, reversible placeholders; ARCHITECTURE.md section 2, row 4b',
    behaviour:
      'a session that was shown a placeholder gets its value back inside the gate, in the arguments of the tools that the operator named and nowhere else, and what is put back is judged and recorded like any argument',
  },
  'play3.redaction.exceptions': {
    source: 'issue 5, exceptions that people live with',
    behaviour:
      'an exception lets one class pass in one place of one tool for one caller until a day, `explain` prints the narrowest one for a refused call, and `check` fails for one that is over or matches nothing',
  },
  'play3.redaction.own-words': {
    source: "issue 5, the operator's dictionaries and patterns",
    behaviour:
      'words, phrases and patterns of the operator are classes of their own with actions by direction, found in time linear in the text, and one that cannot be used is named',
  },
  'play3.redaction.canary': {
    source: 'issue 5, canaries; SECURITY.md 3.1',
    behaviour:
      'a value that must never be seen is refused in arguments and withheld in answers, also cased, parted, reversed or encoded, the log tells where, and nothing tells what',
  },
  'play3.windowed': {
    source: 'ARCHITECTURE.md section 3, "Facts for conditions"; issue 6, windowed facts',
    behaviour:
      'rules read how much a session or an actor did within a window, the call that is judged included; the call that would pass a limit is refused whole, over parallel calls too, and what was not sent does not count',
  },
  'play3.packs': {
    source: 'playbook Play 3: "Require ticket for destructive bulk changes"; issue 6, rule packs',
    behaviour:
      'packs for reading only, bulk and destructive changes, egress, memory and administration are included by name, hold for any server, and decide what their cases say; a pack that there is not and a rule id that a pack has are refused at load',
  },
  'play3.policy-coverage': {
    source: 'issue 6, `policy test` (cases beside rules, coverage of rules and branches)',
    behaviour:
      '`policy test` tells by line which rules decide no case and which operands of a condition are never true or never false; every pack is covered whole',
  },
  'play3.policy-schema': {
    source: 'issue 6, JSON Schema and completion for editors',
    behaviour:
      'the JSON Schema of policy files passes every policy in the repository, and what it refuses the loader refuses',
  },
  'play3.policy-bundle': {
    source: 'issue 6: "signed policy bundles by file or URL with last-good and age limit"',
    behaviour:
      'a policy bundle is taken only when a listed key signed it, its version is above that in force and its rules load; anything else that its source answers leaves the last good one, over restarts too; each swap is recorded with digest, version and key',
  },
  'play3.policy-bundle.age': {
    source: 'SECURITY.md 1.1, "Policy store unreachable"',
    behaviour:
      'while the source of a bundle is down reads pass for 24 hours and all else for 15 minutes; a bundle signed longer ago than its limit decides nothing',
  },
  'play3.redaction.beside-calls': {
    source: 'issue 5, one scanner; ARCHITECTURE.md section 2',
    behaviour:
      'lists of resources and prompts, completions and the log messages of streams that stay open are screened like calls; what cannot be called by another name is left out',
  },
  'play3.redaction.schema': {
    source: 'MCP 2025-11-25, tools: output schema',
    behaviour:
      'redacted arguments fit the inputSchema and redacted structured content the outputSchema, or the call is refused',
  },
  'play3.redaction.observe': {
    source: 'ARCHITECTURE.md section 3, observe',
    behaviour: 'under observe nothing is changed, and the record says what would have been done',
  },
  'play3.redaction.not-recorded': {
    source: 'ARCHITECTURE.md section 2: nothing unscreened is recorded',
    behaviour: 'records count what was found by class and hold none of it',
  },
  'play3.redaction.spans': {
    source: 'playbook Play 4: dlp.redact',
    behaviour: 'redaction shows in the spans of a call',
    deferred: TELEMETRY,
  },
  'play3.region': {
    source: 'playbook Play 3: "region routing"',
    behaviour:
      'a call is served only by a server attested for the region of its data; without one it is denied and no byte leaves',
    deferred: EGRESS,
  },
  'play3.ssrf.upstream': {
    source: 'ARCHITECTURE.md row 8; OWASP API7:2023',
    behaviour:
      "a server's own address is judged each time its name is resolved: private ranges only by `servers.X.network`, metadata addresses never",
  },
  'play3.vendors': {
    source: 'playbook Play 3: "vendor allow lists"',
    behaviour: 'a call to an unknown vendor is denied, and deny wins',
    deferred: EGRESS,
  },
  'play3.ticket': {
    source: 'playbook Play 3: "Require ticket for destructive bulk changes"',
    behaviour:
      'a destructive bulk change needs a ticket that the ticket system confirms, bound to the hash of the arguments, once',
  },
  'play3.approval': {
    source: 'playbook Play 3: "Require ticket for destructive bulk changes"; SECURITY.md 5, two-person rule',
    behaviour:
      'a call that a rule holds back runs once, after somebody of each role that the rules name, and never the caller himself, approved this very call within its time',
  },
  'play3.approval.page': {
    source: 'playbook Play 3: "Require ticket for destructive bulk changes"; SECURITY.md 5, two-person rule',
    behaviour:
      'from the link that a caller is told, an approver who signs in by OpenID Connect decides with one click; the call runs once under retries, crashes and double clicks, and nothing but his click decides',
  },
  'play3.ssrf.arguments': {
    source: 'playbook Play 3: "block-ssrf"; OWASP API7:2023',
    behaviour:
      'no call reaches a server with a URL whose text, in any encoding, or whose name, by any of its addresses, is private, link-local or a metadata service',
  },
  'play3.ssrf': {
    source: 'playbook Play 3: "block-ssrf"; OWASP API7:2023',
    behaviour:
      "URLs in arguments and the upstream's own address never reach private, link-local or metadata addresses, in any encoding, over redirects and DNS rebinding",
    // What a server makes of a public URL later (a redirect, a name that changed its mind) is out of the gate's sight.
    deferred:
      'waits for the egress proxy of sandboxed servers; the gate judges URLs in arguments, and pins its own sockets',
  },

  'play4.plan': {
    source: 'playbook Play 4: "agent.plan"',
    behaviour:
      'agent.plan comes from host hooks or `_meta`, else one inferred span per session and inbound trace',
    deferred: TELEMETRY,
  },
  'play4.spans': {
    source: 'playbook Play 4: "Span names"',
    behaviour:
      'agent.plan, mcp.tool.invoke, service.api.call, policy.evaluate and dlp.redact stand in one trace',
    deferred: TELEMETRY,
  },
  'play4.attributes': {
    source: 'playbook Play 4: "Attributes"',
    behaviour:
      'actor.id, actor.type, tool.name, scope.grants, policy.decision, pii.count and idem.key are on every span of every path',
    deferred: TELEMETRY,
  },
  'play4.evidence': {
    source:
      'playbook Play 4: "Signed append-only logs linked to spans and exported to SIEM"; C2SP tlog-tiles, tlog-checkpoint; RFC 6962',
    behaviour:
      'every call leaves records in a signed append-only log that is verified offline; one flipped byte is found',
  },
  'play4.evidence.second-verifier': {
    source: 'playbook Play 4: "Signed append-only logs"',
    behaviour: 'a verifier not written by us finds the same flipped byte',
    deferred: 'waits for the export formats of packages/evidence',
  },
  'play4.siem': {
    source: 'playbook Play 4: "exported to SIEM"; OCSF 1.9.0',
    behaviour: 'events leave as OCSF by OTLP, syslog, CEF, LEEF, HEC, Elastic, webhook and file',
    deferred: TELEMETRY,
  },
  'play4.reconstruct': {
    source: 'playbook Play 4: "Reconstruct any chain in minutes"',
    behaviour:
      'any chain is rebuilt from 10^6 records in seconds: who asked, for whom, what ran, what was decided and why, what left',
    deferred: 'waits for the chain index over the evidence log',
  },

  'play5.sigma': {
    source: 'playbook Play 5: "Rules"; Sigma 2.1.0',
    behaviour: 'rules are Sigma 2.1 with correlations, streaming and as a back-test over stored evidence',
    deferred: DETECTIONS,
  },
  'play5.rogue-chain': {
    source: 'playbook Play 5: "Rogue chain: unseen tool combination across tenants"',
    behaviour:
      '`chain.novelty_score > 0.95 and policy.decision == "allow"` loads as written and raises at most 1 alert per 1,000 benign sessions',
    deferred: DETECTIONS,
  },
  'play5.exfil': {
    source: 'playbook Play 5: "Exfil path: tool output size spike to a new vendor domain"',
    behaviour: 'a spike, a ramp of 3 % a call and a canary are caught',
    deferred: DETECTIONS,
  },
  'play5.scope-drift': {
    source: 'playbook Play 5: "Scope drift: new broad grant for an agent without change ticket"',
    behaviour: 'a new broad grant without a change ticket fires, and with one is silent',
    deferred: DETECTIONS,
  },
  'play5.loop-arrest': {
    source: 'playbook Play 5: "Loop arrest: >N retries or plan depth exceeding threshold"',
    behaviour:
      'retries without progress and plans too deep are arrested inline at the threshold; polling tools are not',
    deferred: DETECTIONS,
  },
  'play5.taint': {
    source: 'playbook Play 5: "Detections that matter"; OWASP Agentic ASI01',
    behaviour: 'untrusted content, private data and egress in one session are stopped deterministically',
    deferred: DETECTIONS,
  },

  'play6.kill': {
    source: 'playbook Play 6: "Kill session"',
    behaviour: 'a session is killed on every node within 1 s and its work in flight is cancelled',
    deferred: RESPONSE,
  },
  'play6.quarantine': {
    source: 'playbook Play 6: "quarantine tool"',
    behaviour: 'a quarantined tool or server is refused on every node within 1 s',
    deferred: RESPONSE,
  },
  'play6.read-only': {
    source: 'playbook Play 6: "MCP read-only mode"',
    behaviour: 'in read-only mode every call of a non-read class is refused',
    deferred: RESPONSE,
  },
  'play6.block-egress': {
    source: 'playbook Play 6: "Block egress domain"',
    behaviour: 'a blocked domain is reached by no call',
    deferred: RESPONSE,
  },
  'play6.pause': {
    source: 'playbook Play 6: "pause consumer"',
    behaviour: 'a paused consumer is told when to come back',
    deferred: RESPONSE,
  },
  'play6.reduce-rate': {
    source: 'playbook Play 6: "reduce rate limits"',
    behaviour: 'a reduced rate is in force on every node within 1 s',
    deferred: RESPONSE,
  },
  'play6.evidence-bundle': {
    source: 'playbook Play 6: "Export evidence bundle and attach to incident ticket"',
    behaviour:
      'a signed bundle per incident or chain is verified offline; 10^6 events export in at most 60 s',
    deferred: RESPONSE,
  },
  'play6.runbooks': {
    source: 'playbook Play 6: "Runbook basics"; CACAO 2.0',
    behaviour:
      'each shipped runbook has roles and approvers, steps and timers, templates, rollback and verification, and dry-runs in CI',
    deferred: RESPONSE,
  },

  'play7.bola-bfla': {
    source: 'playbook Play 7: "BOLA/BFLA"; OWASP API1:2023, API5:2023',
    behaviour: 'foreign ids are refused',
  },
  'play7.bola-bfla.guard': {
    source: 'playbook Play 7: "BOLA/BFLA"; OWASP API1:2023',
    behaviour:
      'a tool server with packages/guard takes a call that the gate asserted for it, once and as it was sent, and refuses an id of somebody else that the gate let pass, and every call around the gate',
  },
  'play7.bola-bfla.ownership': {
    source: 'playbook Play 7: "BOLA/BFLA"; OWASP API1:2023',
    behaviour:
      'a call whose arguments name an object of somebody else, or none at all where one is needed, is refused alike in ten shapes of tools, and by each source of owners; a source that does not answer refuses',
  },
  'play7.broken-auth': {
    source: 'playbook Play 7: "Broken auth"; OWASP API2:2023',
    behaviour:
      'a missing, expired, foreign, long-lived, wildcard or replayed token is refused with 401 or 403 and its own reason',
  },
  'play7.excess-exposure': {
    source: 'playbook Play 7: "Excess exposure"; OWASP API3:2023',
    behaviour: 'masked fields are masked by default',
  },
  'play7.limits': {
    source: 'playbook Play 7: "Lack of limits"; OWASP API4:2023',
    behaviour: 'stress gives 429 or a tool error with retry_after, never a 5xx',
    deferred: LIMITS,
  },
  'play7.mass-assignment': {
    source: 'playbook Play 7: "Mass assignment"; OWASP API3:2023',
    behaviour: 'extra members of arguments are refused',
  },
  'play7.injection': {
    source: 'playbook Play 7: "Injection"; OWASP API8:2023',
    behaviour:
      'quotes, control characters and shell syntax in arguments are data end to end, and the process cannot make code from strings',
  },
  'play7.ssrf': {
    source: 'playbook Play 7: "SSRF"; OWASP API7:2023',
    behaviour: '169.254/16 is denied in every encoding',
  },
  'play7.misconfig': {
    source: 'playbook Play 7: "Misconfig"; OWASP API8:2023',
    behaviour:
      'every answer of every listener carries nosniff, no-store and frame-ancestors, and no Server or X-Powered-By; sizes are capped',
  },
  'play7.inventory': {
    source: 'playbook Play 7: "Inventory"; OWASP API9:2023',
    behaviour: 'discovery finds a planted server that goes around the gate',
    deferred: SUPPLY,
  },
  'play7.logging': {
    source: 'playbook Play 7: "Logging"; OWASP API10:2019',
    behaviour: 'no token, argument or personal data is in any log',
  },
  'play7.logging.tokens': {
    source: 'playbook Play 7: "Logging: PII scrubbing, token masking"',
    behaviour: 'no token and no token id in clear stands in a refusal, a record or a log',
  },

  'play8.sbom': {
    source: 'playbook Play 8: "Generate SBOM on build"; CycloneDX 1.7',
    behaviour: 'each build carries its SBOM',
    deferred: RELEASE,
  },
  'play8.pins': {
    source: 'playbook Play 8: "pin dependencies"',
    behaviour:
      'every dependency is pinned to one exact version with its hash, and the runtime tree is committed and current',
  },
  'play8.sigs': {
    source: 'playbook Play 8: "verify sigs"',
    behaviour: 'signatures of what we build with are verified',
    deferred: RELEASE,
  },
  'play8.signed-only': {
    source: 'playbook Play 8: "Only run signed MCP servers and tool bundles"',
    behaviour: 'a tampered file and an unsigned server are refused',
    deferred: SUPPLY,
  },
  'play8.signed-only.publisher': {
    source: 'issue 5, injection signal: "approved per server and publisher"; MITRE ATLAS T0109',
    behaviour:
      'what was approved of a server is withheld when the configuration takes it from another host, package or image, until a person approves it of that one; another version, port or path is the same publisher',
  },
  'play8.signed-only.definitions': {
    source: 'playbook Play 8: "Only run signed MCP servers and tool bundles"; CVE-2025-54136',
    behaviour:
      'tool definitions are pinned by digest; a change waits for a person with its diff, and an incompatible or suspicious one removes the tool',
  },
  'play8.provenance': {
    source: 'playbook Play 8: "Record build provenance and environment"; SLSA 1.2',
    behaviour: 'our builds carry provenance and every start of a server is recorded with its own',
    deferred: SUPPLY,
  },

  'play9.contract-fuzz': {
    source: 'playbook Play 9: "Contract fuzzers in CI for tool schemas"',
    behaviour: 'fuzzers made from live tool schemas find planted bugs',
    deferred: REDTEAM,
  },
  'play9.adversarial': {
    source: 'playbook Play 9: "Adversarial suites for prompt injection, chain exploits, SSRF"',
    behaviour: 'the suites are stopped by the gate and succeed around it',
    deferred: REDTEAM,
  },
  'play9.hosts': {
    source: 'playbook Play 9: "Host conformance across Claude, VS Code, Cursor, Continue, Cline"',
    behaviour: 'each host has a profile with its handshake, names and limits, driven for real where it runs',
    deferred: REDTEAM,
  },
  'play9.mcp-conformance': {
    source: 'MCP conformance suite, 2025-11-25 and 2026-07-28',
    behaviour: 'all scored scenarios pass through the gate, in both eras',
    deferred: 'waits for server-to-client requests across the eras',
  },

  'play10.budgets': {
    source: 'playbook Play 10: "Budgets per agent and per tool, daily caps"',
    behaviour: 'no budget is overshot by more than calls in flight times the highest price',
    deferred: LIMITS,
  },
  'play10.backoff': {
    source: 'playbook Play 10: "Backoff"',
    behaviour: 'a refused caller gets a jittered Retry-After',
    deferred: LIMITS,
  },
  'play10.breakers': {
    source: 'playbook Play 10: "circuit breakers"',
    behaviour: 'a breaker per upstream and tool opens and closes again',
    deferred: LIMITS,
  },
  'play10.backpressure': {
    source: 'playbook Play 10: "queue backpressure"',
    behaviour: "the queue is bounded and fair: a slow upstream moves the others' P95 by less than 10 %",
    deferred: LIMITS,
  },
  'play10.anomaly': {
    source: 'playbook Play 10: "Notify and throttle on anomalies"',
    behaviour: 'a cost anomaly alerts and halves the rate',
    deferred: DETECTIONS,
  },
} as const satisfies Record<string, Requirement>
