// Preloaded into a gate: the disk takes no line of the journal of idempotency keys any more. A fresh journal may still be put in
// its place, unless something stands where it would be written (`idempotency.journal.new`).
import { registerHooks } from 'node:module'

const FILE = '/src/adapters/file/replay-journal.ts'
const SOUND = 'await file.datasync()'
const BROKEN = `if (path.includes('idempotency')) throw new Error('ENOSPC: no space left on device'); ${SOUND}`

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    if (!url.endsWith(FILE)) return loaded
    const source = String(loaded.source instanceof Uint8Array ? Buffer.from(loaded.source) : loaded.source)
    // A fault that breaks nothing would prove nothing.
    if (!source.includes(SOUND)) throw new Error(`${FILE} no longer says \`${SOUND}\``)
    return { ...loaded, source: source.replace(SOUND, BROKEN) }
  },
})
