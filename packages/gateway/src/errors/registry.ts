import type { ReasonCode } from '../call/reason-code.ts'

/** What the gate says for one reason code. Lower case, no final period; docs/errors.md is made from it. */
export interface ReasonEntry {
  /** HTTP problem status that is recorded. On the wire many refusals are HTTP 200 (ARCHITECTURE.md section 2). */
  readonly status: number
  /** JSON-RPC error code: the protocol's own where it fixes one, else one of ours from -31999 to -31000, never used twice. */
  readonly rpc: number
  /** What the agent reads: what happened and what to do. No rule body, matched data or stack: a refusal is no oracle. */
  readonly publicText: string
  /** What the operator does about it. */
  readonly fix: string
  /** `operator`: nobody is left to answer, the code stands in records and logs alone. */
  readonly sees: 'agent and operator' | 'operator'
}

/** Codes that JSON-RPC 2.0 and MCP 2026-07-28 fix; they may serve several reasons. */
export const protocolCodes = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  headerMismatch: -32020,
  missingCapability: -32021,
  unsupportedVersion: -32022,
} as const

const both = 'agent and operator'

/** Every reason code. Codes never change meaning; a number that was given away is never given again. */
export const registry = {
  // Row 0: bytes, JSON, envelope, HTTP.
  CG_WIRE_TOO_LARGE: {
    status: 413,
    rpc: -31000,
    publicText: 'the message is larger than this gate accepts; send less in one call',
    fix: 'raise `listener.maxRequestBytes` (at most 8 MiB) if the call is legitimate',
    sees: both,
  },
  CG_WIRE_UTF8: {
    status: 400,
    rpc: protocolCodes.parseError,
    publicText: 'the message is not valid UTF-8; encode it as UTF-8 without a byte order mark',
    fix: 'correct the host that sent it; the record holds the byte offset',
    sees: both,
  },
  CG_WIRE_SYNTAX: {
    status: 400,
    rpc: protocolCodes.parseError,
    publicText: 'the message is not valid JSON; send one JSON object as RFC 8259 has it',
    fix: 'correct the host that sent it; the record holds the byte offset',
    sees: both,
  },
  CG_WIRE_DEPTH: {
    status: 400,
    rpc: -31003,
    publicText: 'the message is nested deeper than 64 levels; flatten it',
    fix: 'nothing to configure: deeper nesting is how parsers are brought down',
    sees: both,
  },
  CG_WIRE_KEYS: {
    status: 400,
    rpc: -31004,
    publicText: 'the message has more than 10000 object members; split the call',
    fix: 'nothing to configure: the cap bounds the time of every later check',
    sees: both,
  },
  CG_WIRE_DUPLICATE_KEY: {
    status: 400,
    rpc: -31005,
    publicText: 'an object of the message has the same key twice; send each key once',
    fix: 'correct the host: two parsers may read such a message differently (CVE-2026-27896)',
    sees: both,
  },
  CG_WIRE_TWIN_KEY: {
    status: 400,
    rpc: -31006,
    publicText: 'a key of the message differs from a protocol key only by letter case; use the exact key',
    fix: 'correct the host: a parser that ignores case would read another message (CVE-2026-27896)',
    sees: both,
  },
  CG_WIRE_SURROGATE: {
    status: 400,
    rpc: -31007,
    publicText: 'a string of the message holds half a surrogate pair; send whole characters',
    fix: 'correct the host: such a string has no UTF-8 form and every parser repairs it in its own way',
    sees: both,
  },
  CG_WIRE_ENVELOPE: {
    status: 400,
    rpc: protocolCodes.invalidRequest,
    publicText: 'the message is not a JSON-RPC 2.0 request or notification; batches are not accepted',
    fix: 'correct the host; the record names the member that is wrong',
    sees: both,
  },
  CG_WIRE_PARAMS: {
    status: 400,
    rpc: protocolCodes.invalidParams,
    publicText: 'the params do not have the form that this method and protocol version require',
    fix: 'correct the host; the record names the member that is wrong',
    sees: both,
  },
  CG_WIRE_METHOD: {
    status: 404,
    rpc: protocolCodes.methodNotFound,
    publicText: 'this gate does not serve this method',
    fix: 'methods outside the list are refused by design: what is not understood is not passed on',
    sees: both,
  },
  CG_WIRE_HEADER_MISMATCH: {
    status: 400,
    rpc: protocolCodes.headerMismatch,
    publicText: 'a protocol header is missing or does not say what the body says; send both alike',
    fix: 'correct the host or the proxy before the gate that rewrites headers',
    sees: both,
  },
  CG_WIRE_VERSION: {
    status: 400,
    rpc: protocolCodes.unsupportedVersion,
    publicText: 'this protocol version is not supported; use one of the versions listed in the error data',
    fix: 'update the host, or the gate when the version is newer than the gate',
    sees: both,
  },
  CG_WIRE_CONTENT_TYPE: {
    status: 415,
    rpc: -31013,
    publicText: 'the content type is not application/json',
    fix: 'correct the host; forms and plain text are refused because browsers send them without asking first',
    sees: both,
  },
  CG_WIRE_CONTENT_ENCODING: {
    status: 415,
    rpc: -31014,
    publicText: 'the body is compressed; send it as it is',
    fix: 'switch request compression off in the host or the proxy before the gate',
    sees: both,
  },
  CG_WIRE_ACCEPT: {
    status: 406,
    rpc: -31015,
    publicText: 'the accept header must list application/json and text/event-stream',
    fix: 'correct the host',
    sees: both,
  },
  CG_WIRE_HOST: {
    status: 403,
    rpc: -31016,
    publicText: 'the host header names no address of this gate',
    fix: 'add the name to `listener.allowedHosts` or set `listener.publicUrl`, when it is yours',
    sees: both,
  },
  CG_WIRE_ORIGIN: {
    status: 403,
    rpc: -31017,
    publicText: 'requests from this web origin are not accepted',
    fix: 'add the origin to `listener.allowedOrigins` when a browser page of yours must call the gate',
    sees: both,
  },
  CG_WIRE_PATH: {
    status: 404,
    rpc: -31018,
    publicText: 'there is nothing at this path; MCP is served at /mcp and /mcp/<server>',
    fix: 'correct the URL in the host, or add the server to `servers`',
    sees: both,
  },
  CG_WIRE_HTTP_METHOD: {
    status: 405,
    rpc: -31019,
    publicText: 'this path does not take this HTTP method; see the allow header',
    fix: 'correct the host',
    sees: both,
  },
  CG_WIRE_TIMEOUT: {
    status: 408,
    rpc: -31020,
    publicText: 'the request did not arrive in time; send it again at once and whole',
    fix: 'look for a slow sender in the record; `listener.headersTimeoutMs` and `listener.requestTimeoutMs` set the limits',
    sees: both,
  },
  CG_WIRE_DRAINING: {
    status: 503,
    rpc: -31021,
    publicText: 'the gate is shutting down; try again in a few seconds',
    fix: 'nothing to do: calls in flight are finished first',
    sees: both,
  },
  CG_WIRE_SESSION: {
    status: 404,
    rpc: -31022,
    publicText: 'the session id is not known, has ended or is not yours; initialize again',
    fix: 'nothing to do: hosts initialize again by themselves; a host that does not is at fault',
    sees: both,
  },
  CG_WIRE_STATE: {
    status: 400,
    rpc: protocolCodes.invalidParams,
    publicText:
      'the `requestState` is not one of this call, was used up or is too old; call again without it',
    fix: 'nothing to do if it is rare; often: a host that changes calls it repeats, or somebody who tries states',
    sees: both,
  },
  CG_WIRE_CAPABILITY: {
    status: 400,
    rpc: protocolCodes.missingCapability,
    publicText: 'this method needs a client capability that the request does not declare; declare it',
    fix: 'correct the host: it must declare the capability with each request that uses it',
    sees: both,
  },

  // Row 1: identity. Each is a 401 with a complete challenge, unless said otherwise.
  CG_IDENTITY_MISSING: {
    status: 401,
    rpc: -31100,
    publicText: 'no access token was sent; send one as `Authorization: Bearer`',
    fix: 'let the host log in, or mint a token with `callgate token mint`',
    sees: both,
  },
  CG_IDENTITY_MALFORMED: {
    status: 401,
    rpc: -31101,
    publicText: 'the access token is not a signed JWT in compact form; get a new one',
    fix: 'check which issuer the host takes its tokens from; opaque and encrypted tokens are not read',
    sees: both,
  },
  CG_IDENTITY_ALGORITHM: {
    status: 401,
    rpc: -31102,
    publicText: 'the access token is signed with an algorithm that is not accepted; get a new one',
    fix: 'let the issuer sign with one of `identity.algorithms`; symmetric algorithms and `none` are never accepted',
    sees: both,
  },
  CG_IDENTITY_KEY_UNKNOWN: {
    status: 401,
    rpc: -31103,
    publicText: 'the access token is signed with a key that its issuer does not publish; get a new one',
    fix: 'check that `identity.issuers[].jwks` is the key set of the issuer that signs',
    sees: both,
  },
  CG_IDENTITY_KEYS_UNAVAILABLE: {
    status: 401,
    rpc: -31104,
    publicText: 'the access token cannot be checked at the moment; try again in a minute',
    fix: 'make `identity.issuers[].jwks` reachable from the gate; keys are used for at most one hour without it',
    sees: both,
  },
  CG_IDENTITY_SIGNATURE: {
    status: 401,
    rpc: -31105,
    publicText: 'the signature of the access token does not verify; get a new one',
    fix: 'treat it as an attack until explained: the token was changed or signed by somebody else',
    sees: both,
  },
  CG_IDENTITY_ISSUER: {
    status: 401,
    rpc: -31106,
    publicText: 'the access token comes from an issuer that is not trusted here; see the resource metadata',
    fix: 'add the issuer to `identity.issuers`, exactly as its `iss` claim has it',
    sees: both,
  },
  CG_IDENTITY_AUDIENCE: {
    status: 401,
    rpc: -31107,
    publicText: 'the access token is meant for another service; ask for one with this resource',
    fix: 'let the host send the `resource` parameter (RFC 8707), or correct `listener.publicUrl`',
    sees: both,
  },
  CG_IDENTITY_EXPIRED: {
    status: 401,
    rpc: -31108,
    publicText: 'the access token has expired; get a new one',
    fix: 'let the host refresh; if tokens are fresh, compare the clocks',
    sees: both,
  },
  CG_IDENTITY_NOT_YET_VALID: {
    status: 401,
    rpc: -31109,
    publicText: 'the access token is not valid yet; try again in a moment',
    fix: 'compare the clocks of issuer and gate; `identity.clockSkewS` allows at most 60 seconds',
    sees: both,
  },
  CG_IDENTITY_LIFETIME: {
    status: 401,
    rpc: -31110,
    publicText: 'the access token lives longer than this gate accepts; get a shorter one',
    fix: 'let the issuer mint tokens of at most `identity.maxTokenLifeS` seconds',
    sees: both,
  },
  CG_IDENTITY_CLAIM: {
    status: 401,
    rpc: -31111,
    publicText: 'a required claim of the access token is missing or has the wrong type; get a new one',
    fix: 'let the issuer put aud, iss, sub, iat, exp, nbf and jti into every token; the record names the claim',
    sees: both,
  },
  CG_IDENTITY_WILDCARD: {
    status: 403,
    rpc: -31112,
    publicText: 'the access token carries a wildcard grant; ask for the exact scopes',
    fix: 'remove grants with `*` at the issuer: they pass every check by scope',
    sees: both,
  },
  CG_IDENTITY_REPLAYED: {
    status: 401,
    rpc: -31113,
    publicText: 'the access token was used before; get a new one for each use',
    fix: 'if it was no attack, set `identity.replay: session` for hosts that use a token for a whole session',
    sees: both,
  },
  CG_IDENTITY_REVOKED: {
    status: 401,
    rpc: -31124,
    publicText: 'the access token is revoked; get a new one',
    fix: 'two sessions used tokens of one id, so neither is believed: look for the event `identity.replayed` before it, and for who had the token',
    sees: both,
  },
  CG_IDENTITY_REPLAY_STORE: {
    status: 401,
    rpc: -31114,
    publicText: 'the access token cannot be accepted at the moment; try again in a minute',
    fix: 'free space under the state directory: without a durable claim every token could be replayed',
    sees: both,
  },
  CG_IDENTITY_UNBOUND: {
    status: 401,
    rpc: -31116,
    publicText:
      'the access token is bound to no key; get one that is bound by DPoP or by a client certificate',
    fix: 'let the issuer bind tokens (`cnf`, RFC 9449 or RFC 8705), or accept bearer tokens by `identity.replay: once` or `session`',
    sees: both,
  },
  CG_IDENTITY_PROOF: {
    status: 401,
    rpc: -31117,
    publicText:
      'the DPoP proof of the request is missing, wrong or was used before; make a new one for each request',
    fix: 'the record names the member that is wrong; for a used one look for a copied request',
    sees: both,
  },
  CG_IDENTITY_NONCE: {
    status: 401,
    rpc: -31118,
    publicText: 'the DPoP proof needs the nonce of this answer; make it again with that nonce',
    fix: 'nothing: hosts that speak DPoP repeat the request by themselves (RFC 9449 section 9)',
    sees: both,
  },
  CG_IDENTITY_UNSIGNED: {
    status: 401,
    rpc: -31122,
    publicText:
      'the request is not signed; sign it by the key of the token, over what the Accept-Signature header of this answer names (RFC 9421)',
    fix: 'connect by `callgate connect URL`, which signs, or by a client certificate; `identity.messageSignatures: off` asks for none',
    sees: both,
  },
  CG_IDENTITY_MESSAGE: {
    status: 401,
    rpc: -31123,
    publicText: 'the signature of the request does not hold; sign each request anew, as it is sent',
    fix: 'the record says what is wrong with it: something on the way changed the request, or the host signs other parts than those it must (RFC 9421)',
    sees: both,
  },
  CG_IDENTITY_CERTIFICATE: {
    status: 401,
    rpc: -31119,
    publicText: 'the client certificate is missing, is not the one of the access token, or names nobody here',
    fix: 'let the host present the certificate that its token is bound to, or add it to `identity.certificates`',
    sees: both,
  },
  CG_IDENTITY_SCOPE: {
    status: 403,
    rpc: -31120,
    publicText: 'the access token is not for this; ask for one with the scopes of this answer',
    fix: 'let the host ask its issuer for the scopes in the challenge; `servers.X.tools` says which a tool needs',
    sees: both,
  },
  CG_IDENTITY_GRANTS: {
    status: 403,
    rpc: -31121,
    publicText: 'the access token holds more than its client is registered for; ask for less',
    fix: 'correct the issuer, or widen `identity.clients`',
    sees: both,
  },
  CG_IDENTITY_FLOOD: {
    status: 429,
    rpc: -31115,
    publicText: 'too many new access tokens from this address; wait and reuse the token you have',
    fix: 'look at the peer in the record; `identity.missesPerPeer` sets the limit',
    sees: both,
  },
  CG_IDENTITY_ENROLMENT: {
    status: 401,
    rpc: -31130,
    publicText: 'the access token says something else than what its key was enrolled for; make a new one',
    fix: 'the record names the claim; a key speaks for the actor, subject and tenant that it was enrolled for, and for nobody else',
    sees: both,
  },
  CG_IDENTITY_ENROLMENT_ENDED: {
    status: 401,
    rpc: -31131,
    publicText:
      'the key is not enrolled at this gate, or not any more: it has expired or was revoked; ask its operator for a new enrolment code',
    fix: '`callgate enrol list` says how it ended; make a new code with `callgate enrol`, when that was not meant',
    sees: both,
  },

  // Enrolment of a key: `POST /enrol`.
  CG_ENROL_CODE: {
    status: 403,
    rpc: -31150,
    publicText:
      'the enrolment code is wrong, or was used, has expired or was revoked; ask the operator of the gate for a new one',
    fix: '`callgate enrol list` says what became of it; make another with `callgate enrol`',
    sees: both,
  },
  CG_ENROL_UNAVAILABLE: {
    status: 503,
    rpc: -31151,
    publicText: 'the key cannot be enrolled at the moment; the code is still good, try again in a minute',
    fix: 'free space under the state directory: an enrolment must be kept and recorded before it counts',
    sees: both,
  },
  CG_CONSENT_SERVER: {
    status: 404,
    rpc: -31160,
    publicText: 'there is no server of this name that asks for your consent',
    fix: 'name a server that the policy lets the caller reach and whose `credentials.type` is `authorization_code`',
    sees: both,
  },
  CG_CONSENT_STATE: {
    status: 400,
    rpc: -31161,
    publicText:
      'this consent was begun by somebody else, was finished before or took too long; begin it anew',
    fix: 'run `callgate consent give` again, with the same client and subject from beginning to end and within 10 minutes',
    sees: both,
  },
  CG_CONSENT_REFUSED: {
    status: 403,
    rpc: -31162,
    publicText:
      'the issuer of this server did not grant what was asked for; the operator of the gate sees why',
    fix: "the event `consent.refused` says why; check `credentials` of the server and the gate's client at its issuer",
    sees: both,
  },
  CG_CONSENT_UNAVAILABLE: {
    status: 503,
    rpc: -31163,
    publicText: 'your consent cannot be kept at the moment; try again in a minute',
    fix: 'see that the issuer of the server can be reached, and that there is space under the state directory',
    sees: both,
  },

  // Row 2: catalogue.
  CG_CATALOG_UNKNOWN_SERVER: {
    status: 404,
    rpc: -31200,
    publicText: 'there is no such server behind this gate; list the tools again',
    fix: 'add the server to `servers`, or correct its name in the host',
    sees: both,
  },
  CG_CATALOG_UNKNOWN_TOOL: {
    status: 404,
    rpc: protocolCodes.invalidParams,
    publicText: 'there is no such tool, prompt or resource; list them again',
    fix: 'nothing to do when the server dropped it; `callgate servers` shows what is served',
    sees: both,
  },
  CG_CATALOG_NOT_APPROVED: {
    status: 403,
    rpc: -31202,
    publicText: 'this tool waits for its approval by the operator; do not retry',
    fix: 'read its definition with `callgate servers` and approve it with `callgate servers approve`',
    sees: both,
  },
  CG_CATALOG_DRIFTED: {
    status: 403,
    rpc: -31203,
    publicText: 'this tool has changed and waits for the operator; do not retry',
    fix: 'read the difference with `callgate servers` and approve it, or ask the vendor why it changed',
    sees: both,
  },
  CG_CATALOG_REFUSED: {
    status: 403,
    rpc: -31204,
    publicText: 'this tool is not served by this gate; do not retry',
    fix: 'the record says which part of its definition cannot be served safely',
    sees: both,
  },
  CG_CATALOG_NOT_READY: {
    status: 503,
    rpc: -31205,
    publicText: 'the server of this tool is still starting; try again in a few seconds',
    fix: 'if it lasts, `callgate servers` shows why the server does not list its tools',
    sees: both,
  },

  // Row 5: schema.
  CG_SCHEMA_VIOLATION: {
    status: 400,
    rpc: -31300,
    publicText: 'the arguments do not fit the input schema of the tool; read the schema and correct them',
    fix: 'the record names the member and the keyword; members that the schema does not declare are refused',
    sees: both,
  },
  CG_SCHEMA_NUMBER: {
    status: 400,
    rpc: -31301,
    publicText:
      'a number in the arguments has more digits than JSON parsers keep; send it as a string or round it',
    fix: 'nothing to configure: gate and server could read different numbers',
    sees: both,
  },
  CG_SCHEMA_BUDGET: {
    status: 400,
    rpc: -31302,
    publicText: 'the arguments are too costly to check; send smaller ones',
    fix: 'look at the input schema of the tool: its checks grow faster than the arguments',
    sees: both,
  },

  // Row 6: policy.
  CG_POLICY_DENIED: {
    status: 403,
    rpc: -31400,
    publicText: 'policy denies this call; do not retry it, tell the user',
    fix: 'the record names the rule: narrow the call, or change the rule if it is wrong',
    sees: both,
  },
  CG_POLICY_NO_ALLOW: {
    status: 403,
    rpc: -31401,
    publicText: 'no policy rule allows this call; do not retry it, tell the user',
    fix: 'add an allow rule when the call is wanted: `callgate policy new --from ID` drafts it from the evidence id, `callgate explain ID` shows the facts',
    sees: both,
  },
  CG_POLICY_DEFERRED: {
    status: 503,
    rpc: -31403,
    publicText: 'this call is allowed, but not now; try it again after the time that this answer names',
    fix: 'a rule with `decision: defer` applies; `callgate explain ID` names it, and `retry_after` of it says how long to wait',
    sees: both,
  },
  CG_POLICY_WINDOW: {
    status: 503,
    rpc: -31402,
    publicText: 'the gate cannot count this call now; try again later',
    fix: 'every window of `session.sum`, `actor.count` and their like is in use: 100,000 at once; shorten the windows, or count by actor instead of by session',
    sees: both,
  },

  CG_POLICY_STALE: {
    status: 503,
    rpc: -31404,
    publicText: 'the gate cannot learn whether its policy still holds; tell the user, and try again later',
    fix: 'the source of `policy.bundle` is down, or offers what cannot be taken: `callgate doctor` and the log (policy.unconfirmed, policy.refused) say why. It was longer so than `policy.bundle.outage` allows for this class of call',
    sees: both,
  },
  CG_POLICY_EXPIRED: {
    status: 503,
    rpc: -31405,
    publicText: 'the policy of the gate is too old to decide; tell the user, and try again later',
    fix: 'the bundle in force was signed longer ago than `policy.bundle.maxAgeH`: sign it again with `callgate policy bundle`, even when nothing changed',
    sees: both,
  },

  // Row 6a2: ownership.
  CG_OWNER_FOREIGN: {
    status: 403,
    rpc: -31430,
    publicText: 'the arguments name something that does not exist or is not yours to use; tell the user',
    fix: 'the record names the type; the place is `servers.X.tools.T.owned`, who knows whose it is `ownership.types`, see docs/ownership.md',
    sees: both,
  },
  CG_OWNER_UNAVAILABLE: {
    status: 503,
    rpc: -31431,
    publicText:
      'nobody can say now whose the objects are that the arguments name, so the call is refused; try again later',
    fix: 'the record names the source of `ownership.types` and what failed; nothing passes without it',
    sees: both,
  },

  // Rows 6b and 9b: what policy requires beside.
  CG_STEPUP_TICKET: {
    status: 403,
    rpc: -31420,
    publicText: 'this call needs an approved ticket; tell the user',
    fix: 'the answer names the code that the text of the ticket must hold; see docs/tickets.md',
    sees: both,
  },
  CG_STEPUP_REFUSED: {
    status: 403,
    rpc: -31421,
    publicText: 'the ticket does not stand for this call; tell the user',
    fix: 'the record says what is wrong with the ticket or the approval: not approved, another call, another assignee, not its time, or used before',
    sees: both,
  },
  CG_STEPUP_APPROVAL: {
    status: 403,
    rpc: -31423,
    publicText: 'this call needs approval; tell the user who must approve it',
    fix: 'the answer names the request; `callgate approvals` lists what waits, see docs/approvals.md',
    sees: both,
  },
  CG_STEPUP_DENIED: {
    status: 403,
    rpc: -31424,
    publicText: 'this call was not approved; tell the user, and do not make it again',
    fix: 'the record names who denied it; the same call can be asked for again once the request has lapsed. Without `approvals` in the configuration nobody can approve',
    sees: both,
  },
  CG_STEPUP_RESUME: {
    status: 404,
    rpc: -31425,
    publicText: 'no call of yours waits under this id here; make the call itself again',
    fix: 'an id works for the caller whose call it was, at the endpoint where it was made, until the call has run or the request has lapsed; calls with more than 48 kB of arguments must be made again',
    sees: both,
  },
  CG_STEPUP_UNAVAILABLE: {
    status: 503,
    rpc: -31422,
    publicText: 'nobody can say now whether this call has what it needs, so it is refused; try again later',
    fix: 'the record names what failed: address, token or answer of the system in `tickets`, the disk, or that too many calls wait for approval; nothing passes without it',
    sees: both,
  },

  // Rows 7 and 12: data loss prevention.
  CG_DLP_ARGUMENT: {
    status: 403,
    rpc: -31440,
    publicText: 'the arguments hold what may not be sent to this tool; leave it out, or tell the user',
    fix: 'change `dlp.arguments` or `servers.X.dlp.arguments` for the class that the record names when it is wanted there',
    sees: both,
  },
  CG_DLP_PLACEHOLDER: {
    status: 403,
    rpc: -31441,
    publicText:
      'the arguments hold a placeholder such as `[redacted:email]`, which stands for data that was taken out of an earlier answer; writing it would destroy that data, so leave this part as it is or ask the user',
    fix: 'nothing to configure: what was redacted must not be written back. Let the class pass in `dlp.results` where agents must edit such data',
    sees: both,
  },
  CG_DLP_SCHEMA: {
    status: 403,
    rpc: -31442,
    publicText:
      'without what may not be sent the arguments no longer fit the tool; leave it out, or tell the user',
    fix: 'choose another action for the class in `dlp`: `mask` keeps length and place, `deny` says what is wrong',
    sees: both,
  },
  CG_DLP_RESULT: {
    status: 403,
    rpc: -31443,
    publicText: 'the call ran, and its answer is withheld: it holds what may not be read from this tool',
    fix: 'change `dlp.results` or `servers.X.dlp.results` for the class that the record names when it is wanted there',
    sees: both,
  },
  CG_DLP_FAILED: {
    status: 500,
    rpc: -31444,
    publicText:
      'the call ran, and its answer is withheld: it could not be screened; tell the operator the evidence id',
    fix: 'a fault of the gate: report it with the record, which says what failed; nothing passes unscreened',
    sees: both,
  },
  CG_DLP_DETECTOR: {
    status: 503,
    rpc: -31445,
    publicText:
      'what this call holds could not be looked through, because the detector of personal data gives no answer; try again later, or tell the user',
    fix: 'see why in the record: the detector of `dlp.detector` is down, slow, asked too often, or answers nonsense, or the texts are longer than `maxTextBytes`. Where calls should go on without it set `dlp.detector.onFailure: pass`',
    sees: both,
  },

  // Row 8: egress.
  CG_EGRESS_PRIVATE: {
    status: 403,
    rpc: -31450,
    publicText:
      'a URL in the arguments leads to an address that tools may not reach; use a public one, or tell the user',
    fix: 'nothing to configure: private, link-local and metadata addresses are never reached through URLs in arguments (OWASP API7:2023). If the tool only stores or sends the text, say so by `urls: content` at `servers.X.tools`',
    sees: both,
  },
  CG_EGRESS_UNREADABLE: {
    status: 403,
    rpc: -31451,
    publicText:
      'the arguments hold a URL that cannot be read for certain, or more than 64 of them; write each plainly, or send fewer',
    fix: 'two programs may read such a URL as two places, so none of them is judged safe; if the tool only stores or sends the text, say so by `urls: content` at `servers.X.tools`',
    sees: both,
  },
  CG_EGRESS_DENIED: {
    status: 403,
    rpc: -31452,
    publicText: 'a URL in the arguments leads where this tool may not go; do not retry it, tell the user',
    fix: 'change `egress` or `servers.X.egress` (schemes, ports, allow, deny) when the place is wanted; `callgate egress check URL` says what the rules make of it',
    sees: both,
  },
  CG_EGRESS_UNRESOLVED: {
    status: 403,
    rpc: -31453,
    publicText:
      'a name in a URL of the arguments does not resolve; check how it is spelt, or try again later',
    fix: 'see whether the DNS servers of the gate answer (`egress.resolvers`); where names cannot be resolved at all, `egress.resolve: false` judges them by their text alone',
    sees: both,
  },

  // Row 9: idempotency.
  CG_IDEMPOTENCY_MISSING: {
    status: 400,
    rpc: -31460,
    publicText:
      'this tool is called with an idempotency key only; put one of your own making into `_meta` as `dev.callgate/idempotencyKey`, or into the header `Idempotency-Key`, and use it again for this very call alone',
    fix: 'have the host send a key with each call, or set `servers.X.tools.T.idempotency` to `accepted`; see docs/idempotency.md',
    sees: both,
  },
  CG_IDEMPOTENCY_DIFFERS: {
    status: 422,
    rpc: -31461,
    publicText:
      'this idempotency key was used for another call; repeat that one unchanged, or take a new key for this one',
    fix: 'the record names the first call of the key; a host that takes the same key for two calls is at fault. A tool whose definition was approved anew is another one',
    sees: both,
  },
  CG_IDEMPOTENCY_RUNNING: {
    status: 409,
    rpc: -31462,
    publicText:
      'the same call is still running; wait for its answer, or ask again later with the same idempotency key',
    fix: 'nothing to do: the record names the call that runs, and the second one did not run',
    sees: both,
  },
  CG_IDEMPOTENCY_UNKNOWN: {
    status: 409,
    rpc: -31463,
    publicText:
      'the same call was begun before, and nobody knows whether it took effect, so it is not run again; check what it was to do, and if it is not done, call with a new idempotency key',
    fix: 'look at the server for what the first call did; the record names it. The gate or the server ended, or the host cancelled, in the middle of it',
    sees: both,
  },
  CG_IDEMPOTENCY_NOT_KEPT: {
    status: 409,
    rpc: -31464,
    publicText:
      'the same call ran before and took effect, but its answer is not kept; do not repeat it, read what it did by another call',
    fix: 'the answer was too large, was withheld, went for newer ones or was sealed by a key that was revoked: see `idempotency.maxAnswerBytes` and `idempotency.maxBytes`',
    sees: both,
  },
  CG_IDEMPOTENCY_STORE: {
    status: 503,
    rpc: -31465,
    publicText:
      'the gate cannot remember idempotency keys at the moment, so it does not run a call that should run once; try again later with the same key',
    fix: 'see why in the record: free space under the state directory or repair its disk, or raise `idempotency.maxKeys` and `idempotency.maxKeysPerCaller`',
    sees: both,
  },

  // Row 10: record.
  CG_EVIDENCE_UNAVAILABLE: {
    status: 503,
    rpc: -31500,
    publicText: 'the gate cannot record calls at the moment and refuses them; try again later',
    fix: 'free space under the state directory, repair its disk, or have the token of `evidence.signingKey` sign (the event `evidence.unsigned` says why it does not); the gate recovers by itself',
    sees: both,
  },

  // Row 11: upstream.
  CG_UPSTREAM_UNAVAILABLE: {
    status: 502,
    rpc: -31600,
    publicText: 'the server of this tool cannot be reached; the call did not run, try again later',
    fix: 'see `callgate servers` and the last lines of the server on stderr',
    sees: both,
  },
  CG_UPSTREAM_BUSY: {
    status: 503,
    rpc: -31601,
    publicText: 'the server of this tool is busy; the call did not run, try again later',
    fix: 'lower the number of sessions, or set `servers.<id>.shared` where the server keeps no state per session',
    sees: both,
  },
  CG_UPSTREAM_TIMEOUT: {
    status: 504,
    rpc: -31602,
    publicText:
      'the server did not answer in time; the call may have taken effect, check before you repeat it',
    fix: 'raise `servers.<id>.timeoutMs` if the tool is slow by nature',
    sees: both,
  },
  CG_UPSTREAM_PROTOCOL: {
    status: 502,
    rpc: -31603,
    publicText:
      'the answer of the server breaks the protocol and was dropped; the call may have taken effect',
    fix: 'report it to the vendor; the record says what was wrong with the answer',
    sees: both,
  },
  CG_UPSTREAM_TOO_LARGE: {
    status: 502,
    rpc: -31604,
    publicText: 'the answer of the server is too large and was dropped; ask for less',
    fix: 'nothing to configure: answers end at 8 MiB',
    sees: both,
  },
  CG_UPSTREAM_CONSENT: {
    status: 403,
    rpc: -31606,
    publicText:
      'this server acts in the name of its user, who has not consented to it or has no longer; the call did not run',
    fix: 'the user runs `callgate consent give SERVER` on his own machine, then the call can be repeated',
    sees: both,
  },
  CG_UPSTREAM_UNKNOWN_FATE: {
    status: 502,
    rpc: -31605,
    publicText:
      'the connection broke after the call was sent; it may have taken effect, check before you repeat it',
    fix: 'look at the server: it died or dropped the connection during the call',
    sees: both,
  },

  // The runner.
  CG_HOST_UNREACHABLE: {
    status: 409,
    rpc: -31650,
    publicText:
      'the server asks something that this host cannot be asked; use a host that declares it, or another tool',
    fix: 'the record names what was asked; `servers.<id>.clientCapabilities` allows it, and the host must declare it',
    sees: both,
  },
  CG_HOST_SILENT: {
    status: 504,
    rpc: -31651,
    publicText: 'the question of the server was not answered in time; call again',
    fix: 'nothing to do: nobody answered within 5 minutes, or the host went away',
    sees: both,
  },
  CG_STAGE_FAILED: {
    status: 500,
    rpc: -31700,
    publicText: 'a check of the gate failed, so the call was refused; tell the operator the evidence id',
    fix: 'a fault of the gate: report it with the record, which names the stage',
    sees: both,
  },
  CG_STAGE_BUDGET: {
    status: 503,
    rpc: -31701,
    publicText: 'a check of the gate took too long, so the call was refused; try again or send less',
    fix: 'the record names the stage and its time; look for an overloaded machine',
    sees: both,
  },
  CG_CALL_DEADLINE: {
    status: 504,
    rpc: -31702,
    publicText: 'the call did not end in time; it may have taken effect, check before you repeat it',
    fix: 'raise `servers.<id>.timeoutMs` if the tool is slow by nature',
    sees: both,
  },
  CG_CALL_CANCELLED: {
    status: 499,
    rpc: -31703,
    publicText: 'the call was cancelled by the caller',
    fix: 'nothing to do: the host closed the stream or cancelled; the record says how far the call came',
    sees: 'operator',
  },
} as const satisfies Record<ReasonCode, ReasonEntry>

/** Looks up what the gate says for a code. */
export function reasonEntry(code: ReasonCode): ReasonEntry {
  return registry[code]
}
