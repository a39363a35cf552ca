import { hash } from 'node:crypto'
import type { ToolClass } from '../call/call.ts'
import { safeText } from '../text/safe-text.ts'
import { type CallApproval, rolesIn } from '../ports/call-approvals.ts'

/** What the page of a request shows beside it. */
export interface RequestPage {
  readonly approval: CallApproval
  /** Who looks at it. */
  readonly by: string
  /** What a click brings along; undefined: he cannot decide. */
  readonly click: string | undefined
  /** Why he cannot. */
  readonly why: string | undefined
  /** Milliseconds since the epoch. */
  readonly now: number
}

const STYLE = `
:root{color-scheme:light dark;--edge:#8886;--good:#14713a;--bad:#a3271f}
*{box-sizing:border-box}
body{margin:0 auto;max-width:46rem;padding:1.5rem 1rem 3rem;font:16px/1.5 system-ui,sans-serif}
header{display:flex;flex-wrap:wrap;justify-content:space-between;gap:.5rem;font-size:.85rem;opacity:.8}
h1{font-size:1.35rem;line-height:1.3;margin:1.2rem 0 .8rem;overflow-wrap:anywhere}
h2{font-size:1rem;margin:1.4rem 0 .3rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem;margin:0}
dt{opacity:.75}
dd{margin:0;overflow-wrap:anywhere}
pre{margin:0;padding:.8rem;border:1px solid var(--edge);border-radius:.4rem;white-space:pre-wrap;overflow-wrap:anywhere;font:.85rem/1.45 ui-monospace,monospace}
ul{margin:0;padding-left:1.2rem}
.state{padding:.6rem .8rem;border:1px solid var(--edge);border-left:.35rem solid;border-radius:.4rem}
.approved,.used{border-left-color:var(--good)}
.denied{border-left-color:var(--bad)}
label{display:block;margin:1.4rem 0 .3rem}
input[type=text]{width:100%;padding:.5rem;font:inherit;border:1px solid var(--edge);border-radius:.4rem}
.clicks{display:flex;gap:.8rem;margin-top:1rem}
button{padding:.6rem 1.6rem;font:inherit;font-weight:600;color:#fff;border:0;border-radius:.4rem;cursor:pointer}
button.approve{background:var(--good)}
button.deny{background:var(--bad)}
`

/** What Content-Security-Policy lets through of styles. */
export const STYLE_HASH = `sha256-${hash('sha256', STYLE, 'base64')}`

/** What a call of a class can do, for somebody who is asked whether it may. */
const IMPACT: Readonly<Record<ToolClass, string>> = {
  read: 'reads data and changes nothing',
  write: 'creates or changes data',
  destructive: 'deletes or overwrites data, which may not be undone',
  egress: 'sends data out',
  memory: 'changes what agents remember',
  poll: 'asks for the state of a task',
}

const STATE: Readonly<Record<CallApproval['state'], string>> = {
  pending: 'waits for approval',
  approved: 'is approved: the call can be made once, by whoever asked',
  denied: 'is denied: the caller is told so',
  used: 'was approved, and the call has run',
  expired: 'is over: nobody decided in time, or nobody made the call',
}

/** The page of one request. */
export function requestHtml({ approval, by, click, why, now }: RequestPage): string {
  const { id, requester, target, approvers, rules, shown, endsAt, decisions, state } = approval
  const what = `${target.server}.${target.name}`
  const said = decisions.map(
    (one) =>
      `<li>${text(one.by)} ${one.verdict === 'approve' ? 'approved' : 'denied'} at ${time(one.at)}${one.comment === undefined ? '' : `: ${text(one.comment)}`}</li>`,
  )
  return page(
    `Approve ${what}?`,
    `${signedInAs(by, id)}
<h1>${text(requester.actor)} wants to call ${text(what)}</h1>
<p class="state ${state}">This request ${STATE[state]}${state === 'pending' || state === 'approved' ? `, until ${time(endsAt)}${inMinutes(endsAt, now)}` : ''}.</p>
<dl>
<dt>Who</dt><dd>${text(requester.actor)} (${text(requester.type)}), tenant ${text(requester.tenant)}</dd>
<dt>For whom</dt><dd>${text(requester.subject)}</dd>
<dt>Impact</dt><dd>${text(approval.class)}: ${IMPACT[approval.class]}</dd>
<dt>Approvers</dt><dd>${text(rolesIn(approvers))}</dd>
<dt>Request</dt><dd>${text(id)}</dd>
</dl>
<h2>Why it needs approval</h2>
<ul>${rules.map((rule) => `<li>${text(rule.id)}${rule.why === undefined ? '' : `: ${text(rule.why)}`}</li>`).join('')}</ul>
<h2>Arguments, without personal data and secrets</h2>
<pre>${JSON.stringify(shown, null, 2).split('\n').map(text).join('\n')}</pre>
${said.length === 0 ? '' : `<h2>What was said</h2>\n<ul>${said.join('')}</ul>`}
${click === undefined ? (why === undefined ? '' : `<p>${text(why)}</p>`) : form(id, click)}`,
  )
}

/** A page that only says something. @param request whose page to lead back to */
export function messageHtml(title: string, message: string, request?: string, by?: string): string {
  const back =
    request === undefined
      ? ''
      : `<p><a href="/approvals/${request}">Look at the request again</a></p>${by === undefined ? `<p><a href="/approvals/${request}/sign-in">Sign in</a></p>` : ''}`
  const who = by === undefined || request === undefined ? '' : signedInAs(by, request)
  return page(title, `${who}<h1>${text(title)}</h1>\n<p>${text(message)}</p>\n${back}`)
}

/** Enter in the comment must not approve: the first button of a form is its default one, and this one does nothing. */
function form(id: string, click: string): string {
  return `<form method="post" action="/approvals/${id}">
<button disabled hidden></button>
<input type="hidden" name="click" value="${text(click)}">
<label for="comment">Comment (optional, kept in the log of record)</label>
<input type="text" id="comment" name="comment" maxlength="500" autocomplete="off">
<div class="clicks"><button class="approve" name="verdict" value="approve">Approve</button><button class="deny" name="verdict" value="deny">Deny</button></div>
</form>`
}

function signedInAs(by: string, id: string): string {
  return `<header><span>Callgate</span><span>${text(by)} · <a href="/approvals/${id}/sign-in">sign in as somebody else</a></span></header>`
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex"><title>${text(title)}</title><style>${STYLE}</style></head>
<body>
${body}
</body></html>
`
}

function time(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

function inMinutes(endsAt: number, now: number): string {
  const minutes = Math.floor((endsAt - now) / 60_000)
  return ` (${minutes < 1 ? 'in less than a minute' : minutes === 1 ? 'in 1 minute' : `in ${minutes} minutes`})`
}

/** Text of strangers in a page: it is never markup, and hidden characters are shown. */
function text(value: string): string {
  return safeText(value).replace(/[&<>"']/g, (sign) => `&#${String(sign.codePointAt(0))};`)
}
