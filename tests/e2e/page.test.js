import assert from 'node:assert/strict'
import { browse } from './browser.js'

function required(name) {
  if (!process.env[name]) throw new Error(`\`${name}\` is not set; run this suite with: cargo xtask test e2e`)
  return process.env[name]
}
const gateway = required('API_GATEWAY_URL')
const apiKey = required('API_KEY')
const QUESTION = 'how do I roll back a deployment?'

async function ask(page, question, key = apiKey) {
  await page.getByLabel('Question').fill(question)
  await page.getByLabel('API key').fill(key)
  await page.getByRole('button', { name: 'Ask' }).click()
}

browse('the page loads and shows that everything is ready', {}, async ({ page }) => {
  await page.goto(gateway)
  await page.getByRole('status').getByText('All ready').waitFor()
  for (const name of ['api-gateway', 'ai-engine', 'database']) {
    assert.match(await page.getByRole('listitem').filter({ hasText: name }).first().innerText(), /ready/)
  }
  assert.equal(await page.title(), 'vital-ops')
})

browse('a question with a key shows a passage and its source', {}, async ({ page }) => {
  await page.goto(gateway)
  await ask(page, QUESTION)
  await page.getByRole('heading', { name: /documents? answers?$/ }).waitFor()
  const best = page.locator('.answer').first()
  assert.match(await best.getByText('Source:').innerText(), /handbook\/rollback/)
  assert.match(await best.locator('blockquote').first().innerText(), /cargo xtask rollback|Roll back/)
  assert.equal(await page.getByRole('alert').count(), 0)
  await page.getByRole('status').getByText('All ready').waitFor()
})

browse('the key is kept for this tab only, and can be forgotten', {}, async ({ page, context }) => {
  await page.goto(gateway)
  await ask(page, QUESTION)
  await page.locator('.answer').first().waitFor()
  await page.reload()
  assert.equal(await page.getByLabel('API key').inputValue(), apiKey)
  const other = await context.newPage()
  await other.goto(gateway)
  assert.equal(await other.getByLabel('API key').inputValue(), '')
  await page.getByRole('button', { name: 'Forget it now' }).click()
  await page.reload()
  assert.equal(await page.getByLabel('API key').inputValue(), '')
  assert.ok(!page.url().includes(apiKey))
})

browse('a wrong key shows a message one can read', { expected: /401/ }, async ({ page }) => {
  await page.goto(gateway)
  await ask(page, QUESTION, 'wrong-key')
  const alert = page.getByRole('alert')
  await alert.getByText(/This API key is not known/).waitFor()
  assert.match(await alert.innerText(), /Request [A-Za-z0-9._-]+/)
  assert.equal(await page.getByLabel('API key').getAttribute('aria-invalid'), 'true')
  await ask(page, QUESTION)
  await page.locator('.answer').first().waitFor()
  assert.equal(await alert.count(), 0)
})

browse('what is missing is asked for in words', {}, async ({ page }) => {
  await page.goto(gateway)
  await page.getByRole('button', { name: 'Ask' }).click()
  await page.getByRole('alert').getByText('Write a question first.').waitFor()
  await page.getByLabel('Question').fill(QUESTION)
  await page.getByLabel('Question').press('Enter')
  await page.getByRole('alert').getByText('Paste an API key first.').waitFor()
})

browse('a question nothing fits says so', {}, async ({ page }) => {
  await page.goto(gateway)
  await ask(page, 'xqzvwk jjqpzx')
  await page.getByRole('heading', { name: /Nothing found/ }).waitFor()
})

browse('a server that is gone is told in words', { expected: /ERR_|Failed to load/ }, async ({ page }) => {
  await page.goto(gateway)
  await page.getByRole('status').getByText('All ready').waitFor()
  await page.route('**/v1/**', (route) => route.abort())
  await ask(page, QUESTION)
  await page
    .getByRole('alert')
    .getByText(/cannot be reached/)
    .waitFor()
})

browse('an answer is text, never markup', {}, async ({ page }) => {
  const document = { id: 1, source: 'javascript:alert(1)', title: '<img src=x onerror=alert(1)>' }
  const passage = { id: 1, ordinal: 1, heading: null, text: '<script>alert(1)</script>', score: 0.5, document }
  const answers = [{ score: 0.5, text: passage.text, document, passages: [passage] }]
  await page.route('**/v1/answers', (route) => route.fulfill({ json: { question: 'x', answers } }))
  await page.goto(gateway)
  await ask(page, 'x')
  await page.getByText('<script>alert(1)</script>').waitFor()
  assert.equal(await page.locator('.answer img, .answer script, .answer a').count(), 0)
})

browse(
  'a passage is laid out to be read: wrapped lines joined, commands as code, lists and fences kept',
  {},
  async ({ page }) => {
    const document = { id: 1, source: 'docs/x.md', title: 'x' }
    const text = 'Run `cargo xtask health`\nand look:\n- first\n- second\n\n```sh\none\n  two\n```\nDone\nthen.'
    const passage = { id: 1, ordinal: 1, heading: 'Look', text, score: 0.5, document }
    const answers = [{ score: 0.5, text, document, passages: [passage] }]
    await page.route('**/v1/answers', (route) => route.fulfill({ json: { question: 'x', answers } }))
    await page.goto(gateway)
    await ask(page, 'x')
    const quote = page.locator('.answer blockquote')
    await quote.waitFor()
    assert.deepEqual(await quote.locator('p').allTextContents(), [
      'Look',
      'Run cargo xtask health and look:\n- first\n- second',
      'Done then.',
    ])
    assert.deepEqual(await quote.locator('code').allTextContents(), ['cargo xtask health', 'one\n  two'])
  },
)

for (const colorScheme of ['light', 'dark']) {
  browse(
    `usable at 360 px, ${colorScheme}`,
    { viewport: { width: 360, height: 740 }, colorScheme },
    async ({ page }) => {
      await page.goto(gateway)
      await page.getByRole('status').getByText('All ready').waitFor()
      await ask(page, QUESTION)
      await page.locator('.answer').first().waitFor()
      const widths = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth])
      assert.ok(widths[0] <= widths[1], `scrolls sideways: ${widths}`)
      for (const field of [
        page.getByLabel('Question'),
        page.getByLabel('API key'),
        page.getByRole('button', { name: 'Ask' }),
      ]) {
        const { width, height } = await field.boundingBox()
        assert.ok(height >= 44 && width >= 200, `too small to touch: ${width} × ${height}`)
      }
    },
  )
}
