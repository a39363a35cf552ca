// Preloaded into a gate to break it on purpose: it no longer waits for its records. The crash test must go red with it.
// CALLGATE_TEST_BREAK is `outcome` (answers before the record is durable) or `intent` (forwards before it is).
import { registerHooks } from 'node:module'

/** Later, as on a slow disk: the page cache, which kill -9 leaves alone, mostly has a record before anybody has its effect. */
const onSlowDisk = (record: string): string =>
  `setTimeout(() => void log.append(${record}).catch(() => undefined), 50)`

const BREAKS: Readonly<
  Record<string, { readonly file: string; readonly sound: string; readonly broken: string }>
> = {
  outcome: {
    file: '/src/pipeline/runner.ts',
    sound: 'await log.append(await records.outcome(call, outcome, now()))',
    broken: `const late = await records.outcome(call, outcome, now()); ${onSlowDisk('late')}`,
  },
  intent: {
    file: '/src/stages/record/record.ts',
    sound: 'await log.append(intent)',
    broken: onSlowDisk('intent'),
  },
}

const change = BREAKS[process.env['CALLGATE_TEST_BREAK'] ?? '']
if (change === undefined) throw new TypeError('CALLGATE_TEST_BREAK must be `outcome` or `intent`')

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    if (!url.endsWith(change.file)) return loaded
    const source = String(loaded.source instanceof Uint8Array ? Buffer.from(loaded.source) : loaded.source)
    // A control that breaks nothing would prove nothing.
    if (!source.includes(change.sound)) throw new Error(`${change.file} no longer says \`${change.sound}\``)
    return { ...loaded, source: source.replace(change.sound, change.broken) }
  },
})
