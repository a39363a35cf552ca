import { keyedHash } from '@callgate/evidence'
import { join } from 'node:path'
import { type Duplex, duplexPair } from 'node:stream'
import { createApprovals } from './adapters/file/approvals.ts'
import { openKeyRing } from './adapters/file/key-ring.ts'
import { openMacKeys } from './adapters/file/mac-keys.ts'
import { createPinStore } from './adapters/file/pin-store.ts'
import { openReplayGuard } from './adapters/file/replay-guard.ts'
import { openSessionLabels } from './adapters/file/session-labels.ts'
import { openDevIssuer } from './adapters/keys/dev-issuer.ts'
import { createKeySource } from './adapters/keys/key-source.ts'
import { createSessions } from './adapters/memory/sessions.ts'
import { createUpstream } from './adapters/upstream/index.ts'
import { newCallId } from './call/id.ts'
import type { JsonObject } from './call/json.ts'
import type { Principal } from './call/call.ts'
import { Refusal, type Target } from './call/refusal.ts'
import type { EnclosedGate, GateListener, RunningGate } from './cli/world.ts'
import { openHostSide } from './compose-listener.ts'
import { openLog } from './compose-log.ts'
import { createNotes } from './compose-notes.ts'
import { openOwnCredentials } from './compose-credentials.ts'
import { openDetector, openDlp } from './compose-dlp.ts'
import { openScan } from './compose-scan.ts'
import { openEgress } from './compose-egress.ts'
import { openEnrolments, withEnrolled } from './compose-enrolment.ts'
import { openExpiryWatch } from './compose-expiry.ts'
import { openIdempotency } from './compose-idempotency.ts'
import { openIdentity } from './compose-identity.ts'
import { openOperatorSide } from './compose-operators.ts'
import { declaredTo, rootsOf, upstreamServers } from './compose-servers.ts'
import { openEvidenceKey } from './compose-signers.ts'
import { classifier } from './config/classify.ts'
import type { GatewayConfig } from './config/declaration.ts'
import { formatProblem } from './config/problem.ts'
import { callStages } from './pipeline/calls.ts'
import { createGate } from './pipeline/gate.ts'
import { InFlight } from './pipeline/in-flight.ts'
import { Listeners } from './pipeline/listeners.ts'
import { LogLevels } from './pipeline/log-levels.ts'
import { RefusalCounter } from './pipeline/refusal-counter.ts'
import { createRunner } from './pipeline/runner.ts'
import { createCatalogStage } from './stages/catalog/catalog.ts'
import { createResolver } from './stages/catalog/resolver.ts'
import { createBesideCalls } from './stages/dlp/beside-calls.ts'
import { createDlpStages } from './stages/dlp/dlp.ts'
import { createEgressStage } from './stages/egress/egress.ts'
import { askHost } from './stages/forward/ask-host.ts'
import { createForwardStage } from './stages/forward/forward.ts'
import { createRequestStates } from './stages/forward/request-state.ts'
import { createTaskIds } from './stages/forward/task-ids.ts'
import { createNonces } from './stages/identity/nonces.ts'
import { createOwnershipStage } from './stages/ownership/ownership.ts'
import { createPolicy } from './stages/policy/policy.ts'
import { createRecordIntent, createRecordStage } from './stages/record/record.ts'
import { createRecords } from './stages/record/records.ts'
import { createSchemaStage } from './stages/schema/schema.ts'
import { createScopeStage, isInScope, isServerInScope } from './stages/scope/scope.ts'
import { RESUME_DEFINITION, createResumeStage } from './stages/step-up/resume.ts'
import { createClaimStage, createStepUpStage } from './stages/step-up/step-up.ts'
import { ServerCatalog } from './supply/catalog.ts'
import { Discovery } from './supply/discovery.ts'
import { publisherOf } from './supply/publisher.ts'
import type { CatalogServer, PinnedTool } from './ports/catalog.ts'
import { openApprovalDesk, shownArguments } from './compose-approvals.ts'
import { openTickets, stepUpClaims } from './compose-tickets.ts'
import { openOwnership } from './compose-ownership.ts'
import { openPolicy } from './compose-policy.ts'
import { openServerTls } from './compose-tls.ts'

/** Milliseconds between looks at approvals. */
const LOOK_MS = 500
/** Distinct misfits of policy that are told in the life of a process. */
const MAX_SAID = 1_000
/** How long calls in flight may go on after the gate was told to stop. */
const DRAIN_MS = 5_000
/** How long the records of the calls that were aborted then may take. */
const RECORD_MS = 2_000
/** A call's deadline before its server is known, and for a server that is not configured. */
const DEFAULT_DEADLINE_MS = 60_000
/** Longest wait for a list of a server that the configuration does not know any more. */
const DEFAULT_LIST_MS = 5_000

/** Processes of `callgate wrap` that may run at once on one state folder. */
const MAX_NODES = 64

/** Starts the gate behind its listener. */
export function startGate(config: GatewayConfig, version: string): Promise<RunningGate> {
  return compose(config, version, undefined)
}

/**
 * Starts a gate that has no port: connections are opened by `dial`, in this process alone. Several such gates may share a
 * state folder, where each writes a log of its own.
 * @param onEvent told what the gate writes to its log about itself
 */
export function encloseGate(
  config: GatewayConfig,
  version: string,
  onEvent: GateListener,
): Promise<EnclosedGate> {
  return compose(config, version, onEvent)
}

/**
 * Puts the rooms together. The only function that knows which adapter stands behind which port.
 * @param enclosed undefined: the gate listens on its port
 */
async function compose(
  config: GatewayConfig,
  version: string,
  enclosed: GateListener | undefined,
): Promise<EnclosedGate> {
  const { state } = config
  const now = Date.now
  const evidenceKey = await openEvidenceKey(config)
  const { log, node, directory } = await openLog(
    config,
    evidenceKey.signer,
    enclosed === undefined ? 1 : MAX_NODES,
  )
  const record = (event: string, detail: JsonObject) =>
    log.append({
      v: 1,
      kind: 'gate',
      id: newCallId(now()),
      time: new Date(now()).toISOString(),
      event,
      detail,
    })
  const notes = createNotes(record)
  const note = (event: string, detail: JsonObject) => {
    enclosed?.(event, detail)
    notes.note(event, detail)
  }

  const said = new Set<string>()
  const sayOnce = (event: string, problem: string) => {
    if (said.has(problem) || said.size >= MAX_SAID) return
    said.add(problem)
    note(event, { problem })
  }
  evidenceKey.onChange((problem) =>
    problem === undefined ? note('evidence.signing', {}) : note('evidence.unsigned', { problem }),
  )

  const devIssuer = config.identity.issuers.some((issuer) => issuer.dev) ? openDevIssuer(state) : undefined
  const keys = createKeySource(
    config.identity.issuers.map(({ issuer, dev, jwks }) => ({
      issuer,
      jwks: dev && devIssuer ? devIssuer.jwks : jwks,
    })),
    { onProblem: (issuer, problem) => note('keys.problem', { issuer, problem }) },
  )
  await keys.start()
  const replay = await openReplayGuard(join(state, node === 0 ? 'replay.journal' : `replay-${node}.journal`))
  const labels = await openSessionLabels(
    join(state, node === 0 ? 'labels.journal' : `labels-${node}.journal`),
  )
  const keyRing = await openKeyRing(join(state, 'keys'), {
    onProblem: (problem) => sayOnce('keys.problem', problem),
    onRotated: (kid) => {
      note('keys.rotated', { kid })
      void own.consents?.reseal()
    },
  })
  const enrolments = await openEnrolments(config, { record, now, ends: () => ({ inFlight, listeners }) })
  const identity = openIdentity(
    config,
    {
      keys: withEnrolled(keys, enrolments),
      replay,
      sessions: createSessions({ labels }),
      ...(enrolments === undefined ? {} : { enrolled: enrolments }),
      ...(config.identity.dpopNonce ? { nonces: createNonces(keyRing) } : {}),
    },
    {
      onReplayed: ({ actor, tenant, token }, what) =>
        sayOnce('identity.replayed', `${what} ${token.jtiHash} of ${actor.id} in ${tenant} was used before`),
      onRevoked: ({ token: { jtiHash } }) => {
        const fits = ({ token }: Principal): boolean => token.jtiHash === jtiHash
        listeners.endOf(fits)
        inFlight.abortOf(fits, new Refusal('CG_IDENTITY_REVOKED', { internal: 'its token was revoked' }))
      },
    },
  )

  const ends = openExpiryWatch(
    join(state, node === 0 ? 'metrics.prom' : `metrics-${node}.prom`),
    note,
    sayOnce,
  )
  const serverTls = await openServerTls(config.servers, note, ends)
  const own = await openOwnCredentials(config, {
    keyRing,
    record,
    say: sayOnce,
    now,
    onOwn: (server) => discovery.askNow(server),
  })
  const upstream = createUpstream({ servers: upstreamServers(config, serverTls), version, ...own.options })
  const consents = own.consents?.registry
  const states = createRequestStates(keyRing, now)
  const taskIds = createTaskIds(keyRing)
  const declared = (server: string, host: JsonObject): JsonObject =>
    declaredTo(config.servers[server], catalog.server(server)?.capabilities ?? {}, host)
  const macKey = openMacKeys(join(state, 'keys', 'evidence-mac.key'))
  const rules = await openPolicy(config, { node, readSecret: own.readSecret, macKey, note, now })
  const policy = rules.holder
  const listeners = new Listeners({
    upstream,
    declared,
    server: (id): CatalogServer | undefined => catalog.server(id),
  })
  const catalog = new ServerCatalog({
    policies: new Map(
      Object.entries(config.servers).map(([id, server]) => [
        id,
        { approve: server.approve, publisher: publisherOf(server), classify: classifier(server.tools) },
      ]),
    ),
    store: createPinStore(join(state, 'pins.json')),
    now,
    onEvent: ({ event, ...detail }) => note(event, detail),
    onChange: () => {
      resolver.rebuild()
      listeners.changed()
      // A rule that does not fit its tool errs on it, so a denying one applies: fail closed, and said aloud.
      for (const misfit of policy.recheck(
        catalog.servers().flatMap((server) => [...server.tools.values()]),
      )) {
        sayOnce('policy.misfit', formatProblem(misfit))
      }
    },
  })
  const resolver = createResolver(catalog)
  await catalog.load()
  const discovery = new Discovery({
    upstream,
    catalog,
    servers: new Map(Object.entries(config.servers)),
    onEvent: ({ event, ...detail }) => note(event, detail),
  })

  const classifiers = new Map(
    Object.entries(config.servers).map(([id, server]) => [id, classifier(server.tools)]),
  )
  const idempotency = await openIdempotency(config, {
    node,
    keyRing,
    macKey,
    classifiers,
    onProblem: (problem) => sayOnce('idempotency.problem', problem),
  })
  const detector = openDetector(config, own.readSecret, (problem) => sayOnce('dlp.detector', problem))
  const scan = await openScan(config)
  const screening = openDlp(config, {
    catalog,
    macKey,
    labels,
    readsLabels: () => policy.set.readsLabels,
    now,
    classified: (server, tool) => classifiers.get(server)?.(tool),
    scan,
    note,
    detector,
  })
  const dlp = createDlpStages(screening)
  const scopesOf = ({ server, kind, name }: Target) =>
    (kind === 'tool' ? classifiers.get(server)?.(name).scopes : undefined) ?? []
  /** What a caller is shown: what policy could allow, and its token is for. */
  const mayReach = (principal: Principal, target: Target, tool: PinnedTool | undefined) =>
    isInScope(principal, target, tool?.labels ?? [], scopesOf(target)) &&
    policy.mayReach(principal, target, tool)
  const ownership = openOwnership(config, classifiers, own.readSecret)
  const tickets = openTickets(config, own.readSecret)
  // Who decides does so through the control API of this process; of several on one state folder only one has it.
  const desk =
    enclosed === undefined
      ? await openApprovalDesk(config, {
          keyRing,
          record,
          onProblem: (problem) => sayOnce('approval.problem', problem),
          now,
        })
      : undefined
  const inFlight = new InFlight()
  const levels = new LogLevels()
  const refusals = new RefusalCounter(log, now, newCallId)
  const records = createRecords(macKey)
  const recordIntent = createRecordIntent(log, records, now)
  const run = createRunner(
    callStages({
      identity,
      resume: createResumeStage(desk),
      catalog: createCatalogStage(catalog, resolver.resolve, ({ requested, principal, caller }) =>
        taskIds.open(requested, principal, caller.endpoint.resource),
      ),
      restore: dlp.restore,
      schema: createSchemaStage(({ principal, target }) =>
        mayReach(principal, target, catalog.server(target.server)?.tools.get(target.name)),
      ),
      policy: createPolicy(policy),
      scope: createScopeStage(scopesOf),
      ownership: createOwnershipStage(ownership),
      stepUp: createStepUpStage({
        tickets,
        approvals: desk,
        rulesOf: ({ decision }) => policy.rulesNamed(decision.rules),
        shown: shownArguments(scan),
        assignees: config.tickets?.assignees,
        hash: (tenant, text) => keyedHash(macKey(tenant), text),
        ask: askHost,
        authorize: (call) => policy.authorize(call),
        now,
      }),
      dlpArguments: dlp.arguments,
      egress: createEgressStage(openEgress(config, classifiers)),
      idempotency: idempotency.stages.begin,
      claim: createClaimStage(stepUpClaims(replay), desk),
      record: createRecordStage(log, recordIntent),
      forward: createForwardStage({
        upstream,
        states,
        taskIds,
        declared,
        roots: (server) => rootsOf(config, server),
        logLevel: (session) => levels.of(session),
        recordIntent,
      }),
      dlpResults: dlp.results,
      keep: idempotency.stages.keep,
    }),
    {
      inFlight,
      log,
      records,
      refusals,
      now,
      deadlineMs: (server) =>
        (server === undefined ? undefined : config.servers[server]?.timeoutMs) ?? DEFAULT_DEADLINE_MS,
    },
  )
  const mayReachServer = (principal: Principal, server: string, kind: Target['kind']): boolean =>
    isServerInScope(principal, server) && policy.mayReachServer(principal, server, kind)
  const mayUse = (principal: Principal, server: string): boolean =>
    (['tool', 'resource', 'prompt'] as const).some((kind) => mayReachServer(principal, server, kind))
  const gate = createGate({
    authenticate: async (caller) => identity.authenticate(caller, now()),
    run,
    catalog,
    mayReach,
    mayReachServer,
    found: (servers) => discovery.found(servers),
    lost: (server) => discovery.look(server),
    upstream,
    inFlight,
    refusals,
    listeners,
    levels,
    declared,
    beside: createBesideCalls(screening),
    ownTools: desk === undefined ? [] : [RESUME_DEFINITION],
    listTimeoutMs: (server) => config.servers[server]?.listTimeoutMs ?? DEFAULT_LIST_MS,
  })

  /** Waits until no call is in flight, on a clock that nobody sets. */
  const inFlightAtMost = async (ms: number) => {
    for (const until = performance.now() + ms; inFlight.size > 0 && performance.now() < until;)
      await pause(20)
  }

  let draining = false
  const host = await openHostSide(config, {
    enclosed: enclosed !== undefined,
    version,
    gate,
    keyRing,
    states,
    resolver,
    identity,
    enrolments,
    consents,
    mayUse,
    ready: () => discovery.settled,
    refusals,
    draining: () => draining,
    note,
    ends,
    now,
  })
  const { server, url, publicUrl } = host
  const operators = await openOperatorSide(config, {
    publicUrl,
    enrolments,
    consents,
    desk,
    keyRing,
    readSecret: own.readSecret,
    note,
    onProblem: (problem) => sayOnce('approval.problem', problem),
    ends,
    now,
  }).catch((error: unknown) => {
    // What listens already would keep the process alive, with a gate that did not start.
    server.close()
    throw error
  })
  note('gate.started', {
    version,
    node: process.version,
    ...rules.facts(),
    servers: Object.keys(config.servers),
  })

  const approvals = createApprovals(join(state, 'approvals'))
  rules.watch(() => listeners.changed())
  const takeApprovals = setInterval(() => {
    void approvals
      .take(async ({ server: id, tool, digest, by }) => {
        if (!(await catalog.approve(id, tool, digest, by)))
          note('approval.stale', { server: id, tool, digest, by })
      })
      .catch((error: unknown) => sayOnce('approval.failed', String(error)))
  }, LOOK_MS).unref()
  ends.look()
  const settled = discovery.start()

  return {
    url,
    settled,
    evidence: directory,
    dial(): Duplex {
      const [ours, theirs] = duplexPair()
      server.emit('connection', ours)
      return theirs
    },
    async close() {
      draining = true
      clearInterval(takeApprovals)
      ends.close()
      await rules.close()
      host.close()
      serverTls.close()
      keyRing.close()
      listeners.close()
      discovery.stop()
      server.close()
      await operators.close()
      // Behind a gate without a port nobody is left who could be answered.
      await inFlightAtMost(enclosed === undefined ? DRAIN_MS : 0)
      inFlight.abortAll(new Refusal('CG_WIRE_DRAINING', { internal: 'the gate stopped' }))
      await upstream.close()
      await detector?.detector.close()
      await tickets?.close()
      await ownership.close()
      await own.close()
      // What was aborted still has its outcome to record, and large arguments are hashed off this thread.
      await inFlightAtMost(RECORD_MS)
      server.closeAllConnections()
      await refusals.flush()
      note('gate.stopped', {})
      notes.close()
      await log.close()
      await evidenceKey.close()
      await replay.close()
      await labels.close()
      await idempotency.store.close()
      await keys.close()
    },
  }
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
