// A key's life as its owner sees it: made and shown once, used, rotated with both keys working, revoked. Both Envoys are asked
// at each step, and the key stands in no address, in no later page and in nothing that the browser keeps.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { close, launch, person } from './lib/browser.mjs';
import { ORDERS, reaches, report, start } from './lib/stack.mjs';

const PRODUCTION = reaches('production');
const REVOKED = { status: 401, code: '900904' };

let stack;
before(async () => {
  stack = await start('keys');
  await launch();
});
after(async () => {
  await close();
  await stack?.end();
});

// Everything that the page shows or holds.
const content = (alice) => alice.page.evaluate(() =>
  [document.documentElement.outerHTML, ...[...document.querySelectorAll('input')].map((input) => input.value), location.href].join('\n'));

test('made, shown once, used, rotated and revoked', async () => {
  const alice = await person(stack, stack.tokens.subscriber);
  await alice.context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: stack.policy });
  const asked = [];
  alice.context.on('request', (request) => asked.push(request.url()));
  await alice.open('/console/applications/shop');
  await alice.link('New key').first().click();
  // The warning stands before anything is made.
  await alice.says('The key is shown once');
  await alice.check('new key');
  await alice.page.getByLabel('After 90 days').check();
  await alice.button('Make the key').click();
  const shown = alice.page.getByLabel('The key', { exact: true });
  const first = await shown.inputValue();
  assert.match(first, /^kg_live_\w+$/);
  await alice.check('the new key');
  await alice.button('Copy').click();
  await alice.says('Copied.');
  assert.equal(await alice.page.evaluate(() => navigator.clipboard.readText()), first);
  await stack.answer(ORDERS, first, PRODUCTION);

  // Reloading sends the form again: nothing is made, and nothing is shown.
  const keys = async () => (await stack.v1('GET', '/v1/keys?application=shop&limit=100')).body.items;
  const made = (await keys()).length;
  await alice.page.reload();
  assert.ok(!(await content(alice)).includes(first), 'the key after a reload');
  assert.equal((await keys()).length, made);
  await alice.open('/console/applications/shop');
  assert.ok(!(await content(alice)).includes(first), 'the key on the page of its application');
  // Nor does the back button show it. The page with the key is the answer to the form, so the browser asks whether to send the
  // form again, and shows nothing.
  for (let steps = 0; steps < 4; steps += 1) {
    await alice.page.goBack().catch(async (error) => {
      assert.match(error.message, /ERR_CACHE_MISS/);
      await alice.page.waitForURL('chrome-error://chromewebdata/');
    });
    assert.ok(!(await content(alice)).includes(first), `the key after ${steps + 1} steps back`);
  }

  // Kept? The check compares the end of the key.
  await alice.open('/console/applications/shop/new-key');
  await alice.button('Make the key').click();
  const second = await shown.inputValue();
  const last = alice.page.getByLabel(/^The last 6 characters/);
  await last.fill(second.slice(-6));
  await alice.button('I have kept it').click();
  await alice.says('You have the key');
  const id = alice.path().split('/').pop();
  assert.ok(!(await content(alice)).includes(second));

  // Rotated: both work.
  await stack.answer(ORDERS, second, PRODUCTION);
  await alice.link('Rotate …').click();
  await alice.check('rotate');
  await alice.page.getByLabel('1 hour').check();
  await alice.button('Make the new key').click();
  const third = await shown.inputValue();
  assert.notEqual(third, second);
  await stack.answer(ORDERS, third, PRODUCTION);
  await stack.answerNow(ORDERS, second, PRODUCTION);
  // Its page shows the last use of the old key, which gateways report.
  await alice.open(`/console/keys/${id}`);
  await alice.says('Both keys work until');
  for (let looks = 0; /last used: not known/.test(await alice.text()); looks += 1) {
    assert.ok(looks < 60, 'no last use');
    await alice.page.waitForTimeout(250);
    await alice.page.reload();
  }
  await alice.check('rotation');

  // Revoked: the old one ends, the new one goes on.
  await alice.link('Revoke the old key …').click();
  await alice.button('Revoke the key').click();
  await alice.says('never works again');
  const ms = await stack.answer(ORDERS, second, REVOKED);
  await stack.answerNow(ORDERS, third, PRODUCTION);
  report(`a revoked key was refused by both Envoys ${ms} ms after its page`);

  // No address had a key, and the service logged none.
  for (const key of [first, second, third]) {
    assert.ok(!asked.some((url) => url.includes(key)), 'a key in an address');
    assert.ok(!readFileSync(stack.log, 'utf8').includes(key), 'a key in the log');
  }
  const kept = await alice.page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  assert.equal(kept, '[{},{},""]', 'nothing is kept in the browser');
  alice.isWell('keys');
});

test('two clicks on the button make one key', async () => {
  const alice = await person(stack, stack.tokens.subscriber);
  const count = async () => (await stack.v1('GET', '/v1/keys?application=dashboard&limit=100')).body.items.length;
  const before = await count();
  await alice.open('/console/applications/dashboard/new-key');
  await alice.button('Make the key').dblclick();
  await alice.page.getByText(/Keep it now|was sent before/).first().waitFor();
  assert.equal(await count(), before + 1);
});
