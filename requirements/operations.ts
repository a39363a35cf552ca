import type { Requirement } from './requirement.ts'

const KPI = 'waits for `callgate kpi`'
const IR = 'waits for `callgate doctor ir` and response/'
const HARDENING = 'waits for `callgate doctor hardening`'
const BEYOND = 'waits for the sandbox and its egress proxy'

/** KPIs, the two checklists of the playbook, and what goes beyond it. */
export const operations = {
  'kpi.mttd': {
    source: 'playbook KPIs: "Mean time to detect risky chains"',
    behaviour: 'computed from the evidence log with n and interval',
    deferred: KPI,
  },
  'kpi.preventions': {
    source: 'playbook KPIs: "Inline preventions and redactions per quarter"',
    behaviour: 'computed from the evidence log with n and interval',
    deferred: KPI,
  },
  'kpi.fp-rate': {
    source: 'playbook KPIs: "with false positive rate"',
    behaviour: 'computed from the evidence log with n and interval',
    deferred: KPI,
  },
  'kpi.p95': {
    source: 'playbook KPIs: "P95 tool latency"',
    behaviour: 'computed from the evidence log with n and interval',
    deferred: KPI,
  },
  'kpi.error-budget': {
    source: 'playbook KPIs: "error budgets"',
    behaviour: 'computed from the evidence log with n and interval',
    deferred: KPI,
  },
  'kpi.cost-sla': {
    source: 'playbook KPIs: "Cost anomalies resolved within SLA"',
    behaviour: 'computed from the evidence log with n and interval',
    deferred: KPI,
  },
  'kpi.attribution': {
    source: 'playbook KPIs: "% actions with signed traces and complete attribution"',
    behaviour: 'computed from the evidence log with n and interval',
    deferred: KPI,
  },

  'ops.doctor': {
    source: 'ARCHITECTURE.md section 6; playbook Hardening checklist: "secrets in KMS, none in env"',
    behaviour:
      '`callgate doctor` looks at all that the gate needs, names each thing that is wrong with its fix, and each server that reads secrets from its environment',
  },
  'ir.kill-tested': {
    source: 'playbook IR checklist: "Kill switch tested (read-only, quarantine, egress block)"',
    behaviour: 'a drill proves each switch',
    deferred: IR,
  },
  'ir.evidence-15min': {
    source: 'playbook IR checklist: "Evidence export under 15 minutes"',
    behaviour: 'the export is timed',
    deferred: IR,
  },
  'ir.runbooks-current': {
    source: 'playbook IR checklist: "On-call runbooks current with approvers"',
    behaviour: 'approvers and review dates are checked',
    deferred: IR,
  },
  'ir.tabletop': {
    source: 'playbook IR checklist: "Quarterly tabletop and replay with learnings merged into tests"',
    behaviour: 'an incident replays into a regression test',
    deferred: IR,
  },

  'hardening.mtls': {
    source: 'playbook Hardening checklist: "mTLS everywhere, cert rotation ≤ 90 days"',
    behaviour: 'proven on the running gate, not read from its configuration',
    deferred: HARDENING,
  },
  'hardening.jwt': {
    source: 'playbook Hardening checklist: "JWT claims verified, replay defense via jti"',
    behaviour: 'proven on the running gate, not read from its configuration',
    deferred: HARDENING,
  },
  'rollout.status': {
    source: 'issue 6, "Nothing breaks on day one"',
    behaviour:
      '`callgate rollout status` tells for every control in observe mode what it would have refused or changed, by actor and tool, each with the narrowest fix; enforced, it refuses just that',
  },
  'rollout.groups': {
    source: 'issue 6: "enforce by control, by group, by server"',
    behaviour:
      'a rule or control on trial is enforced for a named group of callers, or at a named server, while it stays on trial for all others; `callgate rollout status` tells for whom',
  },
  'hardening.secrets': {
    source: 'playbook Hardening checklist: "Secrets in KMS, no prod secrets in env"',
    behaviour: 'proven on the running gate, not read from its configuration',
    deferred: HARDENING,
  },
  'hardening.container': {
    source: 'playbook Hardening checklist: "Container seccomp/AppArmor, non-root, read-only FS"',
    behaviour: 'proven on the running gate, not read from its configuration',
    deferred: HARDENING,
  },
  'hardening.limits': {
    source: 'playbook Hardening checklist: "Rate limits and concurrency caps set per tenant"',
    behaviour: 'proven on the running gate, not read from its configuration',
    deferred: HARDENING,
  },
  'hardening.pii': {
    source: 'playbook Hardening checklist: "PII scrubbing in logs and spans, retention configured"',
    behaviour: 'proven on the running gate, not read from its configuration',
    deferred: HARDENING,
  },

  'beyond.capture': {
    source: 'playbook: "pre-encryption capture"',
    behaviour: 'what a sandboxed server really sends goes through the proxy of the gate and is seen',
    deferred: BEYOND,
  },
  'beyond.identity-stitch': {
    source: 'playbook: "identity stitching"',
    behaviour: 'person, host, agent, session, tool and API identity stand in one record',
    deferred: BEYOND,
  },
  'beyond.proven-on': {
    source: 'playbook: "prove exactly what happened"',
    behaviour: 'canary calls prove continuously that each control is on; switching one off raises a finding',
    deferred: BEYOND,
  },
} as const satisfies Record<string, Requirement>
