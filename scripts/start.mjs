// `npm start`: sets up the runtime, then runs the quickstart gate. Plain JavaScript: it must run under Node 20.
import { join } from 'node:path'
import { install, root } from './install.mjs'

install({ dev: false })
process.chdir(root)
process.argv.splice(
  2,
  0,
  'start',
  '--config',
  join('examples', 'quickstart', 'callgate.yaml'),
  '--quickstart',
)
await import('../packages/gateway/bin/callgate.mjs')
