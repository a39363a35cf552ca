import { fileURLToPath } from 'node:url'
import { TestGate } from '../harness/gate.ts'
import { type Backend, startBackend } from './backend.ts'
import { type Forwarder, startForwarder } from './forwarder.ts'
import { type Verdict, judgeDirect, judgeThrough } from './judge.ts'
import { EXCEPTIONS, type Pairing, type Yardstick, nameOf, yardstickOf } from './pairings.ts'
import { type HostEra, type SuiteRun, requiredOf, runSuite } from './suite.ts'

/** What the gate must be told so that every question of the fixture may reach a host that can answer it. */
const GRANTED = `  approve: first-use
  clientCapabilities: [elicitation.form, sampling]
  roots: [.]
`

const PROGRAM = fileURLToPath(new URL('backend.ts', import.meta.url))

const POLICY = `- rule: allow-tools
  when: { tool: "*" }
  decision: allow
- rule: allow-resources
  when: { resource: "*" }
  decision: allow
- rule: allow-prompts
  when: { prompt: "*" }
  decision: allow
`

/** One gate for several pairings, each with a backend, a forwarder and a server entry of its own. */
export class ConformanceRig {
  readonly gate: TestGate
  readonly #forwarders: ReadonlyMap<string, Forwarder>
  readonly #backends: readonly Backend[]
  readonly #direct = new Map<string, Promise<SuiteRun>>()

  private constructor(gate: TestGate, forwarders: Map<string, Forwarder>, backends: readonly Backend[]) {
    this.gate = gate
    this.#forwarders = forwarders
    this.#backends = backends
  }

  static async start(pairings: readonly Pairing[]): Promise<ConformanceRig> {
    const forwarders = new Map<string, Forwarder>()
    const backends: Backend[] = []
    let servers = ''
    for (const pairing of pairings) {
      forwarders.set(nameOf(pairing), await startForwarder())
      let reached = `command: [node, ${PROGRAM}, --stdio, --era, ${pairing.server}]`
      if (pairing.transport === 'http') {
        const backend = await startBackend(pairing.server)
        backends.push(backend)
        reached = `url: ${backend.url}\n  network: [127.0.0.0/8]`
      }
      servers += `${serverOf(pairing)}:\n  ${reached}\n${GRANTED}`
    }
    const hosts = [...forwarders.values()].map(({ host }) => host)
    const gate = await TestGate.start({
      servers,
      policy: POLICY,
      // A token for each request, and each one only once: the strictest that the gate has.
      identity: `issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }]
replay: once
missesPerPeer: { perSecond: 10000, burst: 100000 }`,
      more: `listener:
  port: 0
  allowedHosts: ${JSON.stringify(hosts)}
  allowedOrigins: ${JSON.stringify(hosts.map((host) => `http://${host}`))}`,
    })
    for (const pairing of pairings) {
      const path = `/mcp/${serverOf(pairing)}`
      forwarders
        .get(nameOf(pairing))
        ?.forward({ port: Number(new URL(gate.url).port), token: () => gate.mint({ path }) })
    }
    return new ConformanceRig(gate, forwarders, backends)
  }

  /** Runs the suite against the server itself, once for each server and scenario. */
  async direct(yardstick: Yardstick, scenario?: string): Promise<readonly Verdict[]> {
    const run = await this.#directly(yardstick, scenario)
    return judgeDirect(run, requiredFor(yardstick.host, scenario))
  }

  /**
   * Runs the suite through the gate, for a pairing that the rig was started with.
   * @param scenario one scenario instead of all that the revision names
   */
  async through(pairing: Pairing, scenario?: string): Promise<readonly Verdict[]> {
    const { host, server } = pairing
    const forwarder = this.#forwarders.get(nameOf(pairing))
    if (forwarder === undefined) throw new TypeError(`the rig was not started for \`${nameOf(pairing)}\``)
    const direct = await this.#directly(yardstickOf(pairing), scenario)
    const run = await runSuite(host, `http://${forwarder.host}/mcp/${serverOf(pairing)}`, scenario)
    const exceptions = EXCEPTIONS.filter((entry) => entry.host === host && entry.servers.includes(server))
    // What the suite has the server add while it runs: a tool that was not there at first sight waits for approval, and over
    // stdio each process has lists of its own.
    return judgeThrough(run, direct, requiredFor(host, scenario), { exceptions, ownNames: 'test_dynamic_' })
  }

  async close(): Promise<void> {
    for (const forwarder of this.#forwarders.values()) forwarder.close()
    for (const backend of this.#backends) backend.close()
    await this.gate.close()
  }

  /** Each run has a server of its own: what one run changes, the next does not see. */
  #directly({ host, server }: Yardstick, scenario: string | undefined): Promise<SuiteRun> {
    const key = `${host} ${server} ${scenario ?? ''}`
    const known = this.#direct.get(key)
    if (known !== undefined) return known
    const run = startBackend(server).then(async (backend) => {
      try {
        return await runSuite(host, backend.url, scenario)
      } finally {
        backend.close()
      }
    })
    this.#direct.set(key, run)
    return run
  }
}

function requiredFor(host: HostEra, scenario: string | undefined): ReturnType<typeof requiredOf> {
  const { scored, notScored } = requiredOf(host)
  const wanted = (name: string): boolean => scenario === undefined || name === scenario
  return { scored: scored.filter(wanted), notScored: notScored.filter(wanted) }
}

/** Server ids have at most 16 characters. */
function serverOf({ host, server, transport }: Pairing): string {
  return `${transport === 'http' ? '' : 'io-'}${host}-${server}`
}
