import type { GatewayConfig } from '../config/declaration.ts'
import { dlpRules } from '../config/dlp-rules.ts'
import { DATA_CLASSES } from '../text/data-class.ts'
import { always, byServer, type Control, type ControlState, namesOf, type Running } from './control.ts'

/** Every control that threats may name, by id. Each code of a refusal belongs to one at most, so that refusals can be counted. */
export const CONTROLS: Readonly<Record<string, Control>> = {
  'wire.strict-parsing': {
    does: 'what two parsers could read differently, or what is too large or too deep, is refused before anything reads it',
    codes: [
      'CG_WIRE_TOO_LARGE',
      'CG_WIRE_UTF8',
      'CG_WIRE_SYNTAX',
      'CG_WIRE_DEPTH',
      'CG_WIRE_KEYS',
      'CG_WIRE_DUPLICATE_KEY',
      'CG_WIRE_TWIN_KEY',
      'CG_WIRE_SURROGATE',
      'CG_WIRE_ENVELOPE',
      'CG_WIRE_HEADER_MISMATCH',
    ],
    keys: ['listener.maxRequestBytes', 'listener.maxHeaderBytes'],
    judge: always,
  },
  'wire.host-origin': {
    does: 'only listed Host and Origin headers are answered, on loopback too',
    codes: ['CG_WIRE_HOST', 'CG_WIRE_ORIGIN'],
    keys: ['listener.allowedHosts', 'listener.allowedOrigins'],
    judge: always,
  },
  'wire.bounds': {
    does: 'connections, times, sizes and tokens to check are bounded for each peer',
    codes: ['CG_WIRE_TIMEOUT', 'CG_IDENTITY_FLOOD'],
    keys: ['listener.maxConnections', 'listener.requestTimeoutMs', 'identity.missesPerPeer.perSecond'],
    judge: always,
  },
  'identity.tokens': {
    does: 'each token is checked by every claim, lives at most 10 minutes and is meant for this gate',
    codes: [
      'CG_IDENTITY_MISSING',
      'CG_IDENTITY_MALFORMED',
      'CG_IDENTITY_ALGORITHM',
      'CG_IDENTITY_KEY_UNKNOWN',
      'CG_IDENTITY_SIGNATURE',
      'CG_IDENTITY_ISSUER',
      'CG_IDENTITY_AUDIENCE',
      'CG_IDENTITY_EXPIRED',
      'CG_IDENTITY_NOT_YET_VALID',
      'CG_IDENTITY_LIFETIME',
      'CG_IDENTITY_CLAIM',
    ],
    keys: ['identity.maxTokenLifeS', 'identity.algorithms', 'identity.issuers[].exception.until'],
    judge: ({ config }) => {
      const excepted = config.identity.issuers.filter(({ exception }) => exception !== undefined)
      if (excepted.length === 0) return always()
      return {
        state: 'partly',
        note: `tokens of ${namesOf(excepted.map(({ issuer }) => issuer))} pass under an exception`,
      }
    },
  },
  'identity.replay': {
    does: 'a stolen token is of no use: it is bound to a key, or serves one call, or one session',
    codes: [
      'CG_IDENTITY_REPLAYED',
      'CG_IDENTITY_REVOKED',
      'CG_IDENTITY_REPLAY_STORE',
      'CG_IDENTITY_UNBOUND',
      'CG_IDENTITY_PROOF',
      'CG_IDENTITY_NONCE',
    ],
    keys: ['identity.replay', 'identity.dpopNonce'],
    judge: ({ config }) =>
      config.identity.replay === 'session'
        ? {
            state: 'partly',
            note: 'a thief of a token has its session until it expires; `identity.replay: proof` binds tokens to a key',
          }
        : always(),
  },
  'identity.client-certificates': {
    does: 'hosts show a client certificate that is known and not revoked',
    codes: ['CG_IDENTITY_CERTIFICATE'],
    keys: ['listener.tls.clientCa', 'listener.tls.clientCertificates', 'listener.tls.crl'],
    judge: ({ config }) => {
      const tls = config.listener.tls
      if (tls?.clientCa === undefined) return { state: 'off', note: 'set `listener.tls.clientCa`' }
      return tls.clientCertificates === 'required'
        ? always()
        : { state: 'partly', note: 'hosts without one are let in; set `clientCertificates: required`' }
    },
  },
  'identity.message-signatures': {
    does: 'each request is signed by the key of its token, so that nothing on the way can change it',
    codes: ['CG_IDENTITY_UNSIGNED', 'CG_IDENTITY_MESSAGE'],
    keys: ['identity.messageSignatures'],
    judge: ({ config }) =>
      config.identity.messageSignatures === 'required'
        ? always()
        : {
            state: 'off',
            note: 'set `identity.messageSignatures: required`; a signature that is there must hold',
          },
  },
  'identity.grants': {
    does: 'a token with `*`, or with more than its client is registered for, is refused',
    codes: ['CG_IDENTITY_WILDCARD', 'CG_IDENTITY_GRANTS'],
    keys: ['identity.clients'],
    judge: ({ config }) =>
      Object.keys(config.identity.clients).length > 0
        ? always()
        : {
            state: 'partly',
            note: 'wildcards are refused; `identity.clients` says what each client may hold',
          },
  },
  'identity.scope': {
    does: 'a call outside the servers, actions, data and purpose of its token is refused',
    codes: ['CG_IDENTITY_SCOPE'],
    keys: ['servers.<id>.tools.<tool>.scopes', 'identity.purposes'],
    judge: ({ config }) => {
      const without = Object.keys(config.servers).filter((id) => !hasScopes(config, id))
      if (without.length === 0) return always()
      // What a token narrows by itself (RFC 9396) is held to whatever tools ask for.
      return {
        state: 'partly',
        note: `only for tokens with \`authorization_details\`; no tool asks for \`scopes\` at ${namesOf(without)}`,
      }
    },
  },
  'upstream.own-credentials': {
    does: 'servers see credentials of the gate, or ones exchanged for the caller, never the token of the caller',
    codes: ['CG_UPSTREAM_CONSENT'],
    keys: ['servers.<id>.credentials'],
    judge: always,
  },
  'upstream.isolation': {
    does: 'no connection, session, id or answer of a server is shared between principals',
    codes: [],
    keys: ['servers.<id>.shared'],
    judge: (running) =>
      byServer(
        running,
        (id) => {
          const server = id === undefined ? undefined : running.config.servers[id]
          return server?.transport === 'stdio' && server.shared ? 'off' : 'enforce'
        },
        'one process serves all sessions where `shared: true` stands',
      ),
  },
  'upstream.own-address': {
    does: "a server's name is resolved and judged at each connection: private ranges only where listed, metadata never",
    codes: [],
    keys: ['servers.<id>.network'],
    judge: always,
  },
  'upstream.bounds': {
    does: 'each call of a server has a deadline and a longest answer, and calls in flight are bounded',
    codes: ['CG_UPSTREAM_BUSY', 'CG_UPSTREAM_TIMEOUT', 'CG_UPSTREAM_TOO_LARGE', 'CG_CALL_DEADLINE'],
    keys: ['servers.<id>.timeoutMs'],
    judge: always,
  },
  'upstream.argument-list': {
    does: 'servers start from a list of arguments in the configuration, without a shell and in a clean environment',
    codes: [],
    keys: ['servers.<id>.command', 'servers.<id>.env'],
    judge: always,
  },
  'upstream.caller-assertion': {
    does: 'each call carries a signed assertion of its caller, so that the tool can check who owns what it is about',
    codes: [],
    keys: ['servers.<id>.assertCaller'],
    judge: (running) =>
      byServer(
        running,
        (id) => (id !== undefined && running.config.servers[id]?.assertCaller === true ? 'enforce' : 'off'),
        'set `servers.X.assertCaller: true` and check it in the tool, by packages/guard or as it does',
      ),
  },
  'upstream.questions': {
    does: 'a server asks a host only what the configuration lets it ask',
    codes: ['CG_HOST_UNREACHABLE'],
    keys: ['servers.<id>.clientCapabilities'],
    judge: ({ config }) => {
      const may = Object.entries(config.servers)
        .filter(([, { clientCapabilities }]) => clientCapabilities.some((name) => name !== 'tasks'))
        .map(([id]) => id)
      return may.length === 0 ? always() : { state: 'enforce', note: `may ask: ${namesOf(may)}` }
    },
  },
  'wire.sealed-state': {
    does: 'sessions and parked calls are sealed for their principal, call and time',
    codes: ['CG_WIRE_SESSION', 'CG_WIRE_STATE'],
    keys: [],
    judge: always,
  },
  'catalog.pins': {
    does: 'a tool is served as a person approved it, of the publisher that it was approved of; a change waits',
    codes: ['CG_CATALOG_NOT_APPROVED', 'CG_CATALOG_DRIFTED', 'CG_CATALOG_REFUSED'],
    keys: ['servers.<id>.approve'],
    judge: (running) => {
      const { state, note } = byServer(
        running,
        (id) => (id !== undefined && running.config.servers[id]?.approve === 'first-use' ? 'off' : 'enforce'),
        'what is seen first is approved by nobody under `approve: first-use`; changes wait all the same',
      )
      // Drift is held either way, so it is never off.
      return note === undefined ? { state } : { state: 'partly', note }
    },
  },
  'catalog.names': {
    does: 'tools have the name of their server before them, so that none can take the place of another',
    codes: ['CG_CATALOG_UNKNOWN_SERVER', 'CG_CATALOG_UNKNOWN_TOOL'],
    keys: [],
    judge: always,
  },
  'catalog.injection-scan': {
    does: 'a definition that reads like instructions to the model, or hides text, waits for a person',
    codes: [],
    keys: ['servers.<id>.approve'],
    judge: always,
  },
  'schema.strict': {
    does: "arguments fit the tool's own approved schema, and have no member beyond it",
    codes: ['CG_SCHEMA_VIOLATION', 'CG_SCHEMA_NUMBER', 'CG_SCHEMA_BUDGET'],
    keys: [],
    judge: always,
  },
  'policy.default-deny': {
    does: 'a call is refused unless a rule allows it; a denying rule wins',
    codes: ['CG_POLICY_DENIED', 'CG_POLICY_NO_ALLOW'],
    keys: ['policy.files'],
    judge: ({ rules }) => {
      const trial = rules.filter(({ mode, decision }) => mode === 'observe' && decision !== 'allow').length
      return trial === 0
        ? always()
        : {
            state: 'partly',
            note: `${trial} ${trial === 1 ? 'rule that restricts is' : 'rules that restrict are'} on trial; see \`callgate rollout status\``,
          }
    },
  },
  'policy.bundle': {
    does: 'rules come only as somebody of a list has signed them, never older ones again, and decide nothing once they are too old',
    codes: ['CG_POLICY_STALE', 'CG_POLICY_EXPIRED'],
    keys: ['policy.bundle.keys', 'policy.bundle.maxAgeH', 'policy.bundle.whenTooOld'],
    judge: ({ config: { policy } }) => {
      if (policy.bundle === undefined)
        return {
          state: 'off',
          note: 'rules are files of this machine; set `policy.bundle` to follow signed ones',
        }
      return policy.bundle.whenTooOld === 'keep'
        ? { state: 'partly', note: '`policy.bundle.whenTooOld: keep` lets a bundle decide however old it is' }
        : always()
    },
  },
  'policy.windows': {
    does: 'rules hold sums and counts of a session or an actor over time to a limit',
    codes: ['CG_POLICY_WINDOW'],
    keys: ['policy.files'],
    judge: ({ rules }) =>
      ofRules(
        rules.filter(({ reads }) => reads.has('window')),
        'no rule reads a windowed fact such as `session.count`',
      ),
  },
  'policy.tickets': {
    does: 'a call runs only with a ticket that its system confirms for it, once',
    codes: ['CG_STEPUP_TICKET', 'CG_STEPUP_REFUSED', 'CG_STEPUP_UNAVAILABLE'],
    keys: ['tickets', 'policy.files'],
    judge: ({ config, rules }) => {
      if (config.tickets === undefined)
        return { state: 'off', note: 'set `tickets`; until then what needs a ticket is refused' }
      return ofRules(
        rules.filter(({ decision, readsTicket }) => decision === 'require_ticket' || readsTicket),
        'no rule says `require_ticket` or reads `ctx.ticket`',
      )
    },
  },
  'policy.approvals': {
    does: 'a call that a rule holds back runs once, after somebody else approved this very call',
    codes: ['CG_STEPUP_APPROVAL', 'CG_STEPUP_DENIED', 'CG_STEPUP_RESUME'],
    keys: ['approvals.roles', 'policy.files'],
    judge: ({ config, rules }) => {
      if (config.approvals === undefined)
        return { state: 'off', note: 'set `approvals`; until then what needs approval is refused' }
      return ofRules(
        rules.filter(({ decision }) => decision === 'require_approval'),
        'no rule says `require_approval`',
      )
    },
  },
  'policy.defer': {
    does: 'a call that is allowed is put off while a rule says that this is not its time',
    codes: ['CG_POLICY_DEFERRED'],
    keys: ['policy.files'],
    judge: ({ rules }) =>
      ofRules(
        rules.filter(({ decision }) => decision === 'defer'),
        'no rule says `defer`',
      ),
  },
  'policy.redact': {
    does: 'a rule takes kinds of data out of the calls that it is about, whatever `dlp` lets pass',
    codes: [],
    keys: ['policy.files'],
    judge: ({ rules }) =>
      ofRules(
        rules.filter(({ decision }) => decision === 'redact'),
        'no rule says `redact`',
      ),
  },
  'ownership.ids': {
    does: 'an argument that names an object of somebody else is refused, where the operator says which arguments do',
    codes: ['CG_OWNER_FOREIGN', 'CG_OWNER_UNAVAILABLE'],
    keys: ['servers.<id>.tools.<tool>.owned', 'ownership.types', 'ownership.mode'],
    judge: (running) =>
      byServer(
        running,
        (id) => {
          const { ownership, servers } = running.config
          const tools = id === undefined ? {} : (servers[id]?.tools ?? {})
          return Object.values(tools).some(({ owned }) => owned !== undefined) ? ownership.mode : 'off'
        },
        'say `owned` of tools whose arguments name objects, and keep `ownership.mode: enforce`',
      ),
  },
  'policy.injection-label': {
    does: 'a session that was given text like instructions is marked, and rules hold it to less',
    codes: [],
    keys: ['policy.files'],
    judge: ({ rules }) =>
      ofRules(
        rules.filter(({ readsLabels }) => readsLabels),
        'no rule reads `session.labels`',
      ),
  },
  'dlp.arguments': {
    does: 'personal data and secrets in arguments are replaced or refused before a server sees them',
    codes: ['CG_DLP_ARGUMENT', 'CG_DLP_PLACEHOLDER'],
    keys: ['dlp.mode', 'dlp.arguments'],
    judge: (running) =>
      byServer(
        running,
        (id) => dlpState(running, id, 'arguments', DATA_CLASSES),
        'say in `dlp.arguments` what becomes of which class',
      ),
  },
  'dlp.results': {
    does: 'personal data and secrets in answers are replaced or refused before a host sees them',
    codes: ['CG_DLP_RESULT', 'CG_DLP_SCHEMA'],
    keys: ['dlp.mode', 'dlp.results'],
    judge: (running) =>
      byServer(
        running,
        (id) =>
          dlpState(
            running,
            id,
            'results',
            DATA_CLASSES.filter((name) => name !== 'hidden_text'),
          ),
        'say in `dlp.results` what becomes of which class',
      ),
  },
  'dlp.hidden-text': {
    does: 'characters that a person does not see are taken out of answers',
    codes: [],
    keys: ['dlp.mode', 'dlp.results'],
    judge: (running) =>
      byServer(
        running,
        (id) => dlpState(running, id, 'results', ['hidden_text']),
        'set `dlp.results.hidden_text: drop` and `dlp.mode: enforce`',
      ),
  },
  'dlp.canaries': {
    does: 'a value that nobody should ever see is refused wherever it turns up, and told',
    codes: [],
    keys: ['dlp.canaries.file'],
    judge: ({ config }) =>
      config.dlp.canaries === undefined
        ? { state: 'off', note: 'list such values in a file and name it in `dlp.canaries`' }
        : { state: config.dlp.mode },
  },
  'dlp.fail-closed': {
    does: 'what cannot be looked through is not passed',
    codes: ['CG_DLP_FAILED', 'CG_DLP_DETECTOR'],
    keys: ['dlp.detector.onFailure'],
    judge: ({ config }) =>
      config.dlp.detector?.onFailure === 'pass'
        ? { state: 'partly', note: 'calls pass with what our own scanner finds while the detector is down' }
        : always(),
  },
  'egress.private': {
    does: 'no URL in arguments leads to a private, link-local or metadata address, in any encoding and by no name',
    codes: ['CG_EGRESS_PRIVATE', 'CG_EGRESS_UNREADABLE'],
    keys: ['servers.<id>.tools.<tool>.urls', 'egress.resolve'],
    judge: ({ config }) => {
      const content = Object.entries(config.servers)
        .filter(([, { tools }]) => Object.values(tools).some(({ urls }) => urls === 'content'))
        .map(([id]) => id)
      if (!config.egress.resolve)
        return { state: 'partly', note: 'names are judged by their text alone; set `egress.resolve: true`' }
      return content.length === 0
        ? always()
        : { state: 'partly', note: `not judged where \`urls: content\` stands: ${namesOf(content)}` }
    },
  },
  'egress.lists': {
    does: 'URLs in arguments lead only to listed domains, by listed schemes and ports',
    codes: ['CG_EGRESS_DENIED', 'CG_EGRESS_UNRESOLVED'],
    keys: ['egress.mode', 'egress.allow', 'egress.deny', 'servers.<id>.egress.allow'],
    judge: (running) =>
      byServer(
        running,
        (id) => {
          const own = id === undefined ? undefined : running.config.servers[id]?.egress
          const { egress } = running.config
          if ((own?.allow ?? egress.allow).length === 0) return 'off'
          return own?.mode ?? egress.mode
        },
        'name in `egress.allow` where URLs may lead',
      ),
  },
  'idempotency.once': {
    does: 'a call with an idempotency key runs once, also over a crash',
    codes: [
      'CG_IDEMPOTENCY_MISSING',
      'CG_IDEMPOTENCY_DIFFERS',
      'CG_IDEMPOTENCY_RUNNING',
      'CG_IDEMPOTENCY_UNKNOWN',
      'CG_IDEMPOTENCY_NOT_KEPT',
      'CG_IDEMPOTENCY_STORE',
    ],
    keys: ['servers.<id>.tools.<tool>.idempotency', 'idempotency.ttlS'],
    judge: ({ config }) => {
      const off = Object.entries(config.servers)
        .filter(([, { tools }]) => Object.values(tools).some(({ idempotency }) => idempotency === 'off'))
        .map(([id]) => id)
      return off.length === 0
        ? { state: 'enforce', note: 'for calls that bring a key; `required` or `derived` covers the others' }
        : { state: 'partly', note: `off for tools of ${namesOf(off)}` }
    },
  },
  'evidence.log': {
    does: 'every call leaves signed records, before a side effect and before its answer; without them it is refused',
    codes: ['CG_EVIDENCE_UNAVAILABLE'],
    keys: ['evidence.checkpointMs', 'evidence.signingKey'],
    judge: always,
  },
  'secrets.by-reference': {
    does: 'secrets stand nowhere in the configuration, records, logs and errors',
    codes: [],
    keys: ['secrets.ttlS'],
    judge: always,
  },
}

/** Ids of all controls. */
export const CONTROL_IDS: readonly string[] = Object.keys(CONTROLS)

/** Whether some tool of a server asks for grants. */
function hasScopes({ servers }: GatewayConfig, id: string): boolean {
  return Object.values(servers[id]?.tools ?? {}).some(({ scopes }) => scopes.length > 0)
}

function dlpState(
  { config }: Running,
  server: string | undefined,
  direction: 'arguments' | 'results',
  classes: readonly string[],
): 'enforce' | 'observe' | 'off' {
  const rules = dlpRules(config, server)
  if (classes.every((name) => rules[direction](name) === 'count')) return 'off'
  return rules.mode
}

/** On when one of these rules is enforced. */
function ofRules(rules: readonly { readonly mode: string }[], none: string): ControlState {
  if (rules.length === 0) return { state: 'off', note: none }
  return rules.some(({ mode }) => mode === 'enforce')
    ? { state: 'enforce', note: `${rules.length} ${rules.length === 1 ? 'rule' : 'rules'}` }
    : { state: 'observe', note: 'remove `mode: observe` from a rule' }
}
