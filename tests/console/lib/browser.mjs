// People with a browser. Each has a context of its own, as with another computer. Whatever a page does, no script of it may
// fail and nothing may be refused by the policy for content.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './stack.mjs';

const within = createRequire(join(ROOT, '.tools/console/package.json'));
const { chromium } = within('playwright-core');
const AXE = readFileSync(within.resolve('axe-core/axe.min.js'), 'utf8');

export const WIDE = { width: 1280, height: 800 };
export const NARROW = { width: 320, height: 640 };

let running;
export async function launch() {
  // Chromium's sandbox does not work for root, and the pages are this project's own.
  const args = process.getuid() === 0 ? ['--no-sandbox'] : [];
  running = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args });
  return running;
}

export async function close() {
  await running?.close();
}

// A page that notes what goes wrong in it.
export async function visitor(stack, options = {}) {
  // Without motion a page has its colours at once, as a check of contrast needs.
  const usual = { viewport: WIDE, locale: 'en-GB', timezoneId: 'Europe/Berlin', reducedMotion: 'reduce' };
  const context = await running.newContext({ ...usual, ...options });
  const page = await context.newPage();
  return new Person(stack, context, page);
}

// A person who is signed in by the form.
export async function person(stack, token, options = {}) {
  const made = await visitor(stack, options);
  made.token = token;
  await made.signIn();
  return made;
}

export class Person {
  constructor(stack, context, page) {
    Object.assign(this, { stack, context, page, wrong: [], clicks: 0 });
    this.watch(page);
    // No page of the console leads elsewhere, so nothing else is asked.
    context.on('request', (request) => {
      const url = new URL(request.url());
      const ours = [stack.policy, ...(this.elsewhere ?? [])].map((place) => new URL(place).host);
      if (!ours.includes(url.host) && url.protocol !== 'data:' && url.protocol !== 'blob:') this.wrong.push(`asks ${url}`);
    });
  }

  watch(page) {
    page.setDefaultTimeout(10_000);
    page.on('pageerror', (error) => this.wrong.push(`${page.url()}: ${error}`));
    page.on('console', (message) => {
      if (!['error', 'warning'].includes(message.type())) return;
      const of = message.location().url;
      // Chromium also reports an answer such as 403 of the page itself, which the test asks for.
      const isOfThePage = message.text().startsWith('Failed to load resource') && new URL(of).pathname.startsWith('/console');
      if (!isOfThePage || of.includes('/static/')) this.wrong.push(`${page.url()}: ${message.text()} (${of})`);
    });
    page.on('response', (response) => {
      if (response.status() >= 500) this.wrong.push(`${response.status()} ${response.url()}`);
    });
  }

  at(path) {
    return this.stack.policy + path;
  }

  // Opens a page by its address.
  async open(path, status = 200) {
    const response = await this.page.goto(this.at(path));
    assert.equal(response.status(), status, `${path}: ${await this.page.locator('body').innerText()}`);
    return response;
  }

  async signIn() {
    await this.page.goto(this.at('/console'));
    await this.page.getByLabel('Token').fill(this.token);
    await this.page.getByRole('button', { name: 'Sign in with the token' }).click();
    await this.page.getByRole('button', { name: 'Sign out' }).waitFor();
  }

  // Clicks, and counts it.
  async click(locator) {
    this.clicks += 1;
    await locator.click();
  }

  link(name, within = this.page) {
    return within.getByRole('link', { name });
  }

  button(name, within = this.page) {
    return within.getByRole('button', { name });
  }

  // The row of a table that contains a text.
  row(text) {
    return this.page.getByRole('row').filter({ hasText: text });
  }

  async text() {
    return this.page.locator('main').innerText();
  }

  async says(text) {
    try {
      await this.page.locator('main').getByText(text).first().waitFor();
    } catch {
      assert.fail(`${this.page.url()} does not say ${text}, but:\n${await this.text()}`);
    }
  }

  path() {
    return new URL(this.page.url()).pathname;
  }

  // Checks the page as a whole: axe, no sideways scrolling at 320 pixels and at 200 %, in light and dark. What is wrong is
  // noted, so that one run shows all of it; `isWell` fails by it.
  async check(what) {
    for (const colorScheme of ['light', 'dark']) {
      await this.page.emulateMedia({ colorScheme });
      await this.note(what, colorScheme);
    }
    await this.page.emulateMedia({ colorScheme: 'light' });
    // 640 pixels at 200 % are 320 of the page's pixels.
    await this.page.setViewportSize(NARROW);
    await this.note(what, 'narrow');
    const { wide, who } = await this.page.evaluate(() => {
      const wide = document.documentElement.scrollWidth;
      const who = [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > 321);
      return { wide, who: who.slice(0, 5).map((e) => e.outerHTML.slice(0, 120)) };
    });
    if (wide > 320) this.wrong.push(`${what} (${this.page.url()}) is ${wide} pixels wide: ${who.join('\n')}`);
    await this.page.setViewportSize(WIDE);
  }

  async note(what, how) {
    // Words of a button that break into many lines, because a column is too narrow.
    const broken = await this.page.evaluate(() => [...document.querySelectorAll('button, .button')]
      .filter((e) => e.getBoundingClientRect().height > 72).map((e) => e.outerHTML.slice(0, 120)));
    for (const button of broken) this.wrong.push(`${what} (${this.page.url()}), ${how}: the words of a button are broken: ${button}`);
    for (const violation of await this.axe()) this.wrong.push(`${what} (${this.page.url()}), ${how}: ${violation}`);
  }

  // Injected by the debugger, which the page's policy does not concern. So the policy stays as strict as it is.
  async axe() {
    await this.page.evaluate(AXE);
    const found = await this.page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    return found.violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((n) => `${n.html} ${n.failureSummary}`).join('\n')}`);
  }

  // Nothing has gone wrong so far.
  isWell(what) {
    assert.deepEqual(this.wrong, [], `${what}: ${this.wrong.length} faults`);
  }
}
