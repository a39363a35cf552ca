import { hostsAndServers } from './hosts-and-servers.ts'
import { operations } from './operations.ts'
import { plays } from './plays.ts'
import type { Requirement } from './requirement.ts'
import { spine } from './spine.ts'

/** The tables that the manifest is made of; ids are unique across them. */
export const tables: readonly Readonly<Record<string, Requirement>>[] = [
  plays,
  spine,
  hostsAndServers,
  operations,
]

/** Every promise by its id, in the order of the playbook. */
export const requirements: Readonly<Record<string, Requirement>> = {
  ...plays,
  ...spine,
  ...hostsAndServers,
  ...operations,
}
