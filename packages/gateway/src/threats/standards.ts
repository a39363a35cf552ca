/** A list of risks that threats are mapped to. */
export interface Framework {
  /** How the page calls it. */
  readonly title: string
  /** Where its ids come from: name and version. */
  readonly source: string
  /** Every id that may be cited, with what it stands for: of long lists those that our threats need. */
  readonly ids: Readonly<Record<string, string>>
}

/** Frameworks by the key that threats cite them under. Ids of one framework never mean another's. Source: SECURITY.md 2.1, 2.4. */
export const FRAMEWORKS = {
  'owasp-api': {
    title: 'OWASP API',
    source: 'OWASP API Security Top 10, 2023',
    ids: {
      API1: 'broken object level authorization',
      API2: 'broken authentication',
      API3: 'broken object property level authorization',
      API4: 'unrestricted resource consumption',
      API5: 'broken function level authorization',
      API6: 'unrestricted access to sensitive business flows',
      API7: 'server side request forgery',
      API8: 'security misconfiguration',
      API9: 'improper inventory management',
      API10: 'unsafe consumption of APIs',
    },
  },
  'owasp-mcp': {
    title: 'OWASP MCP',
    source: 'OWASP MCP Top 10, beta',
    ids: {
      MCP01: 'token mismanagement and secret exposure',
      MCP02: 'scope creep',
      MCP03: 'tool poisoning',
      MCP04: 'supply chain',
      MCP05: 'command injection',
      MCP06: 'intent-flow subversion',
      MCP07: 'authentication and authorization',
      MCP08: 'audit',
      MCP09: 'shadow servers',
      MCP10: 'context over-sharing',
    },
  },
  'owasp-agentic': {
    title: 'OWASP Agentic',
    source: 'OWASP Top 10 for Agentic Applications, 2026',
    ids: {
      ASI01: 'agent goal hijack',
      ASI02: 'tool misuse and exploitation',
      ASI03: 'identity and privilege abuse',
      ASI04: 'agentic supply chain',
      ASI05: 'unexpected code execution',
      ASI06: 'memory and context poisoning',
      ASI07: 'insecure inter-agent communication',
      ASI08: 'cascading failures',
      ASI09: 'human-agent trust exploitation',
      ASI10: 'rogue agents',
    },
  },
  'mitre-atlas': {
    title: 'MITRE ATLAS',
    source: 'MITRE ATLAS 5.6.1',
    ids: {
      'AML.T0034.002': 'agentic resource consumption',
      'AML.T0051.001': 'indirect prompt injection',
      'AML.T0053': 'AI agent tool invocation',
      'AML.T0080': 'context poisoning',
      'AML.T0081': 'modify agent configuration',
      'AML.T0083': 'credentials from agent configuration',
      'AML.T0086': 'exfiltration by tool invocation',
      'AML.T0098': 'tool credential harvesting',
      'AML.T0099': 'tool data poisoning',
      'AML.T0101': 'data destruction by tool invocation',
      'AML.T0104': 'publish poisoned tool',
      'AML.T0109': 'rug pull',
      'AML.T0110': 'tool poisoning',
    },
  },
  'nsa-mcp': {
    title: 'NSA on MCP',
    source: 'NSA guidance on MCP, its nine recommendations in the order of SECURITY.md 2.4',
    ids: {
      'NSA-1': 'filtering outgoing proxy and data loss prevention',
      'NSA-2': 'sandboxed tool execution',
      'NSA-3': 'message integrity, signing, expiry, replay',
      'NSA-4': 'output filtering',
      'NSA-5': 'tool name collision and drift detection',
      'NSA-6': 'detailed audit for the SIEM',
      'NSA-7': 'local MCP discovery scan',
      'NSA-8': 'content validation, rate limit, policy',
      'NSA-9': 'indirect injection detection',
    },
  },
  'safe-t': {
    title: 'SAFE-T',
    source: 'SAFE-MCP, OpenSSF; techniques at commit 02c33c5',
    ids: {
      'SAFE-T1001': 'tool poisoning',
      'SAFE-T1002': 'supply chain compromise',
      'SAFE-T1004': 'server impersonation, name collision',
      'SAFE-T1007': 'OAuth authorization phishing',
      'SAFE-T1101': 'command injection',
      'SAFE-T1102': 'prompt injection',
      'SAFE-T1104': 'over-privileged tool abuse',
      'SAFE-T1105': 'path traversal by a file tool',
      'SAFE-T1106': 'autonomous loop exploit',
      'SAFE-T1112': 'sampling request abuse',
      'SAFE-T1201': 'rug pull',
      'SAFE-T1202': 'OAuth token persistence',
      'SAFE-T1204': 'context memory implant',
      'SAFE-T1205': 'persistent tool redefinition',
      'SAFE-T1302': 'high-privilege tool abuse',
      'SAFE-T1304': 'credential relay chain',
      'SAFE-T1307': 'confused deputy',
      'SAFE-T1308': 'token scope substitution',
      'SAFE-T1309': 'privileged tool invocation by prompt manipulation',
      'SAFE-T1401': 'line jumping',
      'SAFE-T1402': 'instruction steganography',
      'SAFE-T1403': 'consent fatigue',
      'SAFE-T1506': 'infrastructure token theft',
      'SAFE-T1701': 'cross-tool contamination',
      'SAFE-T1702': 'shared-memory poisoning',
      'SAFE-T1703': 'tool-chaining pivot',
      'SAFE-T1706': 'OAuth token pivot replay',
      'SAFE-T1801': 'automated data harvesting',
      'SAFE-T1805': 'context snapshot capture',
      'SAFE-T1901': 'outbound webhook',
      'SAFE-T1910': 'covert channel exfiltration',
      'SAFE-T1911': 'parameter exfiltration',
      'SAFE-T1913': 'HTTP POST exfiltration',
      'SAFE-T1914': 'tool-to-tool exfiltration',
      'SAFE-T2101': 'data destruction',
      'SAFE-T2102': 'service disruption',
      'SAFE-T2104': 'fraudulent transactions',
      'SAFE-T2106': 'context memory poisoning',
    },
  },
} as const satisfies Readonly<Record<string, Framework>>

/** Key of a framework. */
export type FrameworkId = keyof typeof FRAMEWORKS

/** Keys of all frameworks, in the order of the page. */
export const FRAMEWORK_IDS = Object.keys(FRAMEWORKS) as readonly FrameworkId[]
