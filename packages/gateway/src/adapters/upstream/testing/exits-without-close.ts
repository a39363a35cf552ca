/** A gate that ends in the middle: prints the pid of its stubborn child and exits without closing anything. */
import { createUpstream } from '../index.ts'
import { callTool, hostile, textOf } from './ask.ts'

const upstream = createUpstream({ servers: { stubborn: hostile('stubborn') } })
const answer = await callTool(upstream, 'stubborn', 'act')
process.stdout.write(textOf(answer).split(' ')[0] ?? '', () => process.exit(0))
