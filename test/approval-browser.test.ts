// The page of approvals in a real browser: how many clicks it takes, and what an impatient person does to it (playbook Play 3).
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Chromium, skipBrowser } from './harness/chromium.ts'
import { startPage } from './harness/page-gate.ts'

test(
  'in Chromium one click from the link approves; a double click and Enter do not decide twice or by accident',
  { skip: skipBrowser },
  async (t) => {
    verifies('play3.approval.page')
    const { issuer, call, sent, held, decisions } = await startPage(t)
    const tab = await new Chromium().start()
    t.after(() => tab.close())
    await tab.setCookie(issuer.origin, 'account', 'grace')
    const picture = async (name: string) => {
      const to = process.env['PICTURES']
      if (to !== undefined) writeFileSync(`${to}/${name}.png`, await tab.picture())
    }
    const args = { table: 'orders', note: 'mail anna@corp.example' }
    const link = await held('drop', args)
    await tab.open(link)
    assert.equal(await tab.evaluate('location.href'), link)
    const text = await tab.text()
    assert.match(text, /test-agent wants to call fix\.drop/)
    assert.match(text, /a dropped table is <b>gone<\/b>/)
    assert.equal(
      await tab.evaluate("getComputedStyle(document.querySelector('button.approve')).backgroundColor"),
      'rgb(20, 113, 58)',
      'the policy of the page lets its own style through',
    )
    await picture('pending')

    // Enter in the comment is no decision: the page stays as it is.
    await tab.evaluate("document.querySelector('#comment').focus()")
    await tab.type('seen')
    await tab.enter()
    assert.match(await tab.text(), /waits for approval/)
    assert.equal((await decisions()).length, 0)
    await tab.click('button.approve', 2)
    assert.match(await tab.text(), /This request is approved: the call can be made once/)
    assert.match(await tab.text(), /approved at .*: seen/)
    await picture('approved')
    assert.equal((await decisions()).length, 1, 'a double click is one decision')
    const runs = await Promise.all([1, 2].map(() => call('drop', args)))
    assert.equal(runs.filter((answer) => !answer.includes('CG_')).length, 1, runs.join('\n'))
    assert.equal(sent().length, 1)

    const before = tab.clicks
    const other = await held('drop', { table: 'b' })
    await tab.open(other)
    await tab.click('button.deny')
    assert.match(await tab.text(), /This request is denied/)
    assert.ok(tab.clicks - before <= 2, 'at most two clicks from the link')
    await picture('denied')
  },
)
