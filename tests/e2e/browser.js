// A browser for the cases: found in PATH, started once, a fresh context for each.
import assert from 'node:assert/strict'
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { after, test } from 'node:test'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const ARGUMENTS = [
  '--disable-gpu',
  '--disable-dev-shm-usage', // containers have a small /dev/shm
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function findBrowser() {
  if (process.env.BROWSER_PATH) return process.env.BROWSER_PATH
  const folders = (process.env.PATH ?? '').split(delimiter)
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable)
}

const executablePath = findBrowser()
const hasDriver = existsSync(new URL('node_modules/playwright-core', import.meta.url))
const reason = !executablePath
  ? `no browser: none of ${NAMES.join(', ')} is in PATH`
  : !hasDriver && 'playwright-core is not installed: run npm ci in tests/e2e'
const isRequired = process.env.CI_REQUIRE_BROWSER === '1'

let launched
async function browser() {
  const { chromium } = await import('playwright-core')
  const asRoot = process.getuid?.() === 0 ? ['--no-sandbox'] : []
  launched ??= chromium.launch({ executablePath, args: [...ARGUMENTS, ...asRoot] })
  return launched
}
after(async () => (await launched)?.close())

/** One case with a page of its own. `expected`: console errors that belong to the case. */
export function browse(name, { viewport = { width: 1100, height: 900 }, colorScheme = 'light', expected } = {}, run) {
  test(name, { skip: !isRequired && reason, timeout: 60_000 }, async () => {
    assert.ok(!reason, reason)
    const context = await (await browser()).newContext({ viewport, colorScheme })
    try {
      context.setDefaultTimeout(15_000)
      const page = await context.newPage()
      const errors = []
      page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
      page.on('pageerror', (error) => errors.push(String(error)))
      await run({ page, context })
      await picture(page, name)
      assert.deepEqual(
        errors.filter((text) => !expected?.test(text)),
        [],
        'console errors',
      )
    } finally {
      await context.close()
    }
  })
}

async function picture(page, name) {
  const folder = process.env.SCREENSHOT_DIR
  if (!folder) return
  mkdirSync(folder, { recursive: true })
  await page.screenshot({ path: join(folder, `${name.replace(/[^a-z0-9]+/gi, '-')}.png`), fullPage: true })
}
