import type { Requirement } from './requirement.ts'

/** What is promised to every host and every server: both protocol eras, the bridge between them, real counterparts. */
export const hostsAndServers = {} as const satisfies Record<string, Requirement>
