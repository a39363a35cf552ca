import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'

const PROGRAM = ['chromium-headless-shell', 'chromium'].find(
  (name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0,
)

/** Why tests in a real browser are skipped; false: they are not. */
export const skipBrowser =
  PROGRAM === undefined
    ? 'play3.approval.page: needs `chromium-headless-shell` or `chromium`; on Debian `apt-get install chromium-headless-shell`'
    : false

/** For the answer to one command, in milliseconds; the machine may be busy. */
const ANSWER_MS = 30_000

type Reply = Readonly<Record<string, unknown>>

/** A headless Chromium with a profile of its own, steered over its pipe (Chrome DevTools Protocol), with real mouse clicks. */
export class Chromium {
  /** Clicks of the mouse that were made. */
  clicks = 0
  readonly #profile = mkdtempSync(join(tmpdir(), 'callgate-chromium-'))
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, { resolve: (reply: Reply) => void; reject: (error: Error) => void }>()
  readonly #heard: { method: string; params: Reply }[] = []
  #session: string | undefined
  #last = 0
  #rest = ''

  constructor() {
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-dev-shm-usage']
    this.#process = spawn(
      PROGRAM ?? '',
      [...flags, '--remote-debugging-pipe', `--user-data-dir=${this.#profile}`, '--window-size=900,1100'],
      { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], detached: true },
    )
    const [, , , , out] = this.#process.stdio
    ;(out as Readable).on('data', (chunk: Buffer) => this.#read(chunk.toString()))
  }

  /** Opens the one tab. A browser that does not come up is ended: nobody else could. */
  async start(): Promise<this> {
    try {
      return await this.#openTab()
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async #openTab(): Promise<this> {
    const { targetId } = await this.#send('Target.createTarget', { url: 'about:blank' })
    const { sessionId } = await this.#send('Target.attachToTarget', { targetId, flatten: true })
    this.#session = String(sessionId)
    await this.#send('Page.enable')
    await this.#send('Network.enable')
    return this
  }

  setCookie(url: string, name: string, value: string): Promise<unknown> {
    return this.#send('Network.setCookie', { url, name, value })
  }

  /** Goes to an address, and wherever it leads. */
  async open(url: string): Promise<void> {
    await this.#loaded(() => this.#send('Page.navigate', { url }))
  }

  /** Clicks in the middle of what a selector finds, as a mouse does. @param times clicks in a row, as those of who is impatient */
  async click(selector: string, times = 1): Promise<void> {
    const where = `(() => { const r = document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()`
    const [x, y] = (await this.evaluate(where)) as [number, number]
    await this.#loaded(async () => {
      for (let i = 0; i < times; i++) {
        this.clicks++
        for (const type of ['mousePressed', 'mouseReleased'])
          void this.#send('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 }).catch(
            () => undefined,
          )
      }
    })
  }

  /** Types into what has the focus. */
  async type(text: string): Promise<void> {
    for (const key of text) await this.#send('Input.dispatchKeyEvent', { type: 'char', text: key })
  }

  /** Presses Enter, and waits for as long as a page takes to be loaded here. */
  async enter(): Promise<void> {
    const key = { key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13 }
    await this.#send('Input.dispatchKeyEvent', { type: 'keyDown', text: '\r', ...key })
    await this.#send('Input.dispatchKeyEvent', { type: 'keyUp', ...key })
    await new Promise((resolve) => setTimeout(resolve, 500))
  }

  async evaluate(expression: string): Promise<unknown> {
    const { result } = await this.#send('Runtime.evaluate', { expression, returnByValue: true })
    return (result as Reply)['value']
  }

  async text(): Promise<string> {
    return String(await this.evaluate('document.body.innerText'))
  }

  /** A picture of the tab, PNG. */
  async picture(): Promise<Buffer> {
    const { data } = await this.#send('Page.captureScreenshot', {
      format: 'png',
      captureBeyondViewport: true,
    })
    return Buffer.from(String(data), 'base64')
  }

  async close(): Promise<void> {
    const { pid, exitCode, signalCode, stdio } = this.#process
    const gone = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()))
    // The whole group: the program may be a script, and what it started holds our pipes open for as long as it lives.
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
    if (exitCode === null && signalCode === null) await gone
    for (const pipe of stdio) pipe?.destroy()
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 })
  }

  /** Does something that leads to another page, and waits until that stands. */
  async #loaded(action: () => Promise<unknown>): Promise<void> {
    const before = this.#heard.length
    await action()
    const isLoaded = () => this.#heard.slice(before).some(({ method }) => method === 'Page.loadEventFired')
    for (const until = performance.now() + 10_000; !isLoaded();) {
      if (performance.now() > until) throw new Error('no page was loaded')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    // A second click may have begun to load the page again.
    await new Promise((resolve) => setTimeout(resolve, 300))
  }

  #send(method: string, params: object = {}): Promise<Reply> {
    const id = ++this.#last
    const session = this.#session === undefined ? {} : { sessionId: this.#session }
    const [, , , input] = this.#process.stdio
    ;(input as Writable).write(`${JSON.stringify({ id, method, params, ...session })}\0`)
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error(`no answer to ${method} within ${ANSWER_MS} ms`))
      const timer = setTimeout(late, ANSWER_MS)
      this.#waiting.set(id, {
        resolve: (reply) => (clearTimeout(timer), resolve(reply)),
        reject: (error) => (clearTimeout(timer), reject(error)),
      })
    })
  }

  #read(chunk: string): void {
    const messages = (this.#rest + chunk).split('\0')
    this.#rest = messages.pop() ?? ''
    for (const message of messages) {
      const { id, method, params, result, error } = JSON.parse(message) as {
        id?: number
        method?: string
        params?: Reply
        result?: Reply
        error?: { message: string }
      }
      if (method !== undefined) this.#heard.push({ method, params: params ?? {} })
      const waiting = id === undefined ? undefined : this.#waiting.get(id)
      if (error === undefined) waiting?.resolve(result ?? {})
      else waiting?.reject(new Error(error.message))
    }
  }
}
