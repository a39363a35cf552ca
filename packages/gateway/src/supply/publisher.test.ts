import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../testing/verifies.ts'
import { publisherOf } from './publisher.ts'

test('a publisher is the host of a URL, the package of a runner without its version, or this machine', () => {
  verifies('play8.signed-only.publisher')
  const of = (line: string) => publisherOf({ command: line.split(' ') })
  assert.equal(publisherOf({ url: 'https://mcp.example:8443/v1/mcp?x=1' }), 'mcp.example')
  for (const [line, publisher] of [
    ['npx -y @acme/server-files@1.2.3 /data', 'npm:@acme/server-files'],
    ['npx -y @acme/server-files /data', 'npm:@acme/server-files'],
    ['/usr/bin/npx --package=@acme/tools@2 files', 'npm:@acme/tools'],
    ['npx -p @acme/tools files', 'npm:@acme/tools'],
    ['npx.cmd --yes files@latest', 'npm:files'],
    ['pnpm dlx files@^1', 'npm:files'],
    ['npm exec -- files', 'npm:files'],
    ['uvx --from acme-files==1.2 serve', 'pypi:acme-files'],
    ['uvx Acme-Files[all]@1', 'pypi:acme-files'],
    ['uv tool run acme-files', 'pypi:acme-files'],
    ['docker run -i --rm -e KEY --network none ghcr.io/acme/files:1.2', 'oci:ghcr.io/acme/files'],
    ['docker run --name=x -v /a:/b reg.example:5000/files@sha256:00ff', 'oci:reg.example:5000/files'],
    ['npx ./local/server', 'npm:./local/server'],
    ['npx https://joe:hunter2@pkg.example/x.tgz?key=hunter2', 'npm:pkg.example/x.tgz'],
    ['uvx --from git+https://joe:hunter2@git.example/x.git serve', 'pypi:git.example/x.git'],
    ['uvx --index-url https://joe:hunter2@pypi.example pkg', 'pypi:pkg'],
    ['node server.js', 'local'],
    ['/opt/acme/files', 'local'],
    ['npx', 'local'],
    ['toString x', 'local'],
  ] as const)
    assert.equal(of(line), publisher, line)
})

test('whatever is configured has a publisher, and another version has the same', () => {
  verifies('play8.signed-only.publisher')
  fc.assert(
    fc.property(fc.array(fc.string(), { maxLength: 8 }), (command) => {
      assert.notEqual(publisherOf({ command }), '')
    }),
  )
  fc.assert(
    fc.property(
      fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/),
      fc.stringMatching(/^[0-9]{1,3}(\.[0-9]{1,3}){0,2}$/),
      (name, version) => {
        assert.equal(
          publisherOf({ command: ['npx', `${name}@${version}`] }),
          publisherOf({ command: ['npx', name] }),
        )
      },
    ),
  )
})
