import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Asked, MockLlm, type Said } from '../harness/llm.ts'
import { type Host, HostHome, isInstalled } from './host.ts'

/**
 * A host in a new home below `homes`, with a model of its own. What it leaves running when the test ends is a failure,
 * and is ended by its pid.
 */
export async function settle(
  t: TestContext,
  homes: string,
  host: Host,
  say: (asked: Asked) => Said | Promise<Said>,
): Promise<{ home: HostHome; llm: MockLlm }> {
  mkdirSync(homes, { recursive: true })
  const llm = await MockLlm.start(say)
  const home = new HostHome(host, mkdtempSync(join(homes, 'home-')), llm.url)
  t.after(async () => {
    await llm.close()
    // A child that was told to end needs a moment.
    for (let waited = 0; home.processes().length > 0 && waited < 3_000; waited += 100) await sleep(100)
    const left = home.processes()
    for (const { pid } of left) process.kill(pid, 'SIGKILL')
    assert.deepEqual(left, [], 'the host left processes behind')
    if (!host.phonesHome) assert.deepEqual(llm.strayed, [], 'the host reached for the network')
  })
  return { home, llm }
}

/** Without the program there is nothing to test; in CI that is a failure. */
export function installed(t: TestContext, host: Host): boolean {
  if (host.only !== undefined && host.only !== `${process.platform}-${process.arch}`) {
    t.skip(`hosts.real: ${host.name} is locked for ${host.only} alone`)
    return false
  }
  if (isInstalled(host)) return true
  assert.notEqual(process.env['CI'], 'true', `${host.name} is not installed in test/hosts`)
  t.skip(`hosts.real: ${host.name} is not installed: \`npm ci\` in test/hosts failed`)
  return false
}
