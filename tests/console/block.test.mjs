// A publisher blocks a subscription: both types of keys, production only, until a time, and lifts the block. After each step
// both Envoys are asked. The receipt beside it is believed: when it says complete, they are asked once.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { close, launch, person } from './lib/browser.mjs';
import { BLOCKED, ORDERS, PAYMENTS, reaches, report, start } from './lib/stack.mjs';

const PRODUCTION = reaches('production');
const SANDBOX = reaches('sandbox');

// The longest that a gateway lets the service wait for its next call, and some seconds.
const SILENT_WITHIN_MS = 90_000;

let stack;
before(async () => {
  stack = await start('block');
  await launch();
});
// Whatever a test left, the next one finds the subscription open and both gateways known.
afterEach(async () => {
  await stack.v1('POST', '/v1/subscriptions/shop-orders/unblock');
});
after(async () => {
  await close();
  await stack?.end();
});

// Waits until the receipt on the page says that it is complete. Nothing is pressed: it fills by itself.
async function complete(dana) {
  const begin = Date.now();
  await dana.page.getByText('Complete: 2 live gateways decide by it').waitFor({ timeout: 15_000 });
  return Date.now() - begin;
}

async function unblock(dana) {
  await dana.open('/console/subscriptions/shop-orders');
  await dana.button('Unblock').click();
  await complete(dana);
}

// Opens the form of a block as a person does, from the start page.
async function form(dana) {
  await dana.open('/console');
  dana.clicks = 0;
  await dana.click(dana.link('Orders', dana.page.locator('main')).first());
  await dana.click(dana.row('shop').getByRole('link', { name: /^Block/ }));
}

test('both types, then production only, then until tomorrow, and lifted: both Envoys answer so at once', async () => {
  const dana = await person(stack, stack.tokens.publisher);
  const { production, sandbox, partner } = stack.keys;
  await stack.answer(ORDERS, production, PRODUCTION);
  await stack.answer(ORDERS, sandbox, SANDBOX);

  await form(dana);
  await dana.says('It concerns 1 application, 2 keys');
  await dana.page.getByLabel('Reason').fill('invoice 7');
  await dana.page.getByLabel('Note to the subscriber').fill('Please pay invoice 7');
  await dana.click(dana.button('Block'));
  await dana.says('The block is saved');
  const both = await complete(dana);
  await stack.answerNow(ORDERS, production, BLOCKED);
  await stack.answerNow(ORDERS, sandbox, BLOCKED);
  // Nothing else is refused: the other API, and another application.
  await stack.answerNow(PAYMENTS, production, PRODUCTION);
  await stack.answerNow(ORDERS, partner, PRODUCTION);
  for (const text of ['It is blocked', 'invoice 7', 'Please pay invoice 7', 'somebody unblocks it']) await dana.says(text);
  await unblock(dana);
  await stack.answerNow(ORDERS, production, PRODUCTION);
  await stack.answerNow(ORDERS, sandbox, SANDBOX);

  // From the start page to the block of production, until tomorrow, and the proof that it works.
  await form(dana);
  await dana.click(dana.page.getByLabel('Production only'));
  await dana.click(dana.page.getByLabel(/^Until tomorrow/));
  await dana.click(dana.button('Block'));
  const clicks = dana.clicks;
  const until = await complete(dana);
  await stack.answerNow(ORDERS, production, BLOCKED);
  await stack.answerNow(ORDERS, sandbox, SANDBOX);
  const { block } = (await stack.v1('GET', '/v1/subscriptions/shop-orders')).body;
  assert.equal(block.state, 'PROD_ONLY_BLOCKED');
  // Midnight in the person's zone, which is Berlin's.
  const midnight = new Intl.DateTimeFormat('en-GB', { timeZone: 'Europe/Berlin', timeStyle: 'medium' });
  assert.equal(midnight.format(block.until * 1000), '00:00:00');
  assert.ok(block.until * 1000 > Date.now() && block.until * 1000 <= Date.now() + 25 * 3_600_000);
  report(`${clicks} clicks from the start page to the block of production until tomorrow; receipts took ${both} and ${until} ms`);
  assert.ok(clicks <= 5, `${clicks} clicks`);
  await unblock(dana);
  dana.isWell('blocks');
});

test('a time that is typed is in the zone of the reader, which the field names', async () => {
  const dana = await person(stack, stack.tokens.publisher);
  await dana.open('/console/subscriptions/shop-orders/block');
  await dana.page.getByLabel('Time', { exact: true }).fill('2199-01-01T10:30');
  // The field chooses its choice, and says the zone that it is read in.
  assert.ok(await dana.page.getByLabel('Until a time').isChecked());
  await dana.says('In your time zone, Europe/Berlin');
  await dana.button('Block').click();
  await complete(dana);
  const { block } = (await stack.v1('GET', '/v1/subscriptions/shop-orders')).body;
  assert.equal(new Date(block.until * 1000).toISOString(), '2199-01-01T09:30:00.000Z');
  await dana.says('Until');
  assert.match(await dana.text(), /1 Jan 2199, 10:30/);
  await unblock(dana);
  dana.isWell('until');
});

test('a block that ends by itself ends on both Envoys to the second', async () => {
  const dana = await person(stack, stack.tokens.publisher);
  await dana.open('/console/subscriptions/shop-orders/block');
  // The next full minute that leaves time to click.
  const end = Math.ceil((Date.now() + 10_000) / 60_000) * 60_000;
  const typed = await dana.page.evaluate((end) => {
    const local = new Date(end - new Date(end).getTimezoneOffset() * 60_000);
    return local.toISOString().slice(0, 16);
  }, end);
  await dana.page.getByLabel('Time', { exact: true }).fill(typed);
  await dana.button('Block').click();
  await complete(dana);
  await stack.answerNow(ORDERS, stack.keys.production, BLOCKED);
  await dana.page.waitForTimeout(end - Date.now() - 1_500);
  if (Date.now() < end - 500) await stack.answerNow(ORDERS, stack.keys.production, BLOCKED);
  await dana.page.waitForTimeout(Math.max(0, end - Date.now()) + 1_000);
  await stack.answerNow(ORDERS, stack.keys.production, PRODUCTION);
  await dana.page.reload();
  await dana.says('Unblocked');
  dana.isWell('end');
});

test('a change of a block begins with the block that is there, and keeps its end to the second', async () => {
  const dana = await person(stack, stack.tokens.publisher);
  const until = Date.parse('2100-01-01T00:00:07Z') / 1000;
  await stack.make('/v1/subscriptions/shop-orders/block', { reason: 'invoice 7', note: 'Please pay', until });
  const now = async () => (await stack.v1('GET', '/v1/subscriptions/shop-orders')).body.block;
  await dana.open('/console/subscriptions/shop-orders');
  await dana.link('Change the block …').click();
  // The script has put the times into the zone of the reader then.
  await dana.page.waitForLoadState();
  const time = dana.page.getByLabel('Time', { exact: true });
  assert.equal(await time.inputValue(), '2100-01-01T01:00:07', 'in the zone of the reader');
  assert.ok(await dana.page.getByLabel('Until a time').isChecked());
  await dana.check('a change of a block');
  await dana.page.getByLabel('Production only').check();
  await dana.button('Change the block').click();
  await complete(dana);
  const { state, reason, note, until: kept } = await now();
  assert.deepEqual([state, reason, note, kept], ['PROD_ONLY_BLOCKED', 'invoice 7', 'Please pay', until]);
  await dana.link('Change the block …').click();
  await time.fill('2100-01-02T10:30:00');
  await dana.button('Change the block').click();
  await complete(dana);
  const changed = await now();
  assert.deepEqual([changed.note, changed.until], ['Please pay', Date.parse('2100-01-02T09:30:00Z') / 1000]);
  await unblock(dana);
  dana.isWell('change');
});

test('a gateway that does not answer is named in the receipt, which says complete only when it has the block', async () => {
  const dana = await person(stack, stack.tokens.publisher);
  await dana.open('/console/subscriptions/shop-orders/block');
  await stack.command('stop');
  try {
    await dana.button('Block').click();
    const main = dana.page.locator('main');
    // It was heard of a moment ago, so it is waited for at first.
    await dana.says('1 of 2 live gateways');
    await dana.says(/Not yet: edge-2/);
    const answer = await fetch(stack.gateways[0] + ORDERS, { headers: { 'x-api-key': stack.keys.production } });
    assert.equal(answer.status, 401);
    // Then nobody knows whether it serves requests, and the page says that.
    const begin = Date.now();
    await main.getByText(/1 gateway is silent: edge-2/).waitFor({ timeout: SILENT_WITHIN_MS });
    report(`a gateway that ended was called silent ${Date.now() - begin} ms later`);
    assert.doesNotMatch(await dana.text(), /Complete/);
    await dana.check('a receipt with a silent gateway');
  } finally {
    await stack.command('start');
  }
  await stack.answer(ORDERS, stack.keys.production, BLOCKED);
  // The process that ended is gone only after an hour, if no operator removes it.
  for (const { id, state } of (await stack.v1('GET', '/v1/gateways')).body.items) {
    if (state !== 'live') assert.equal((await stack.v1('DELETE', `/v1/gateways/${id}`)).status, 204);
  }
  await unblock(dana);
  await stack.answerNow(ORDERS, stack.keys.production, PRODUCTION);
  dana.isWell('silent');
});

test('the back button after a block shows what is so now, and a form from before changes nothing unseen', async () => {
  const dana = await person(stack, stack.tokens.publisher);
  await form(dana);
  // The same form in another tab stays as it was before the block.
  const tab = await dana.context.newPage();
  dana.watch(tab);
  await tab.goto(dana.page.url());
  await dana.button('Block').click();
  await complete(dana);
  await dana.page.goBack();
  await dana.says('Blocked');
  assert.equal((await stack.v1('GET', '/v1/subscriptions/shop-orders')).body.state, 'BLOCKED');
  await tab.getByLabel('Production only').check();
  await tab.getByRole('button', { name: 'Block', exact: true }).click();
  await tab.getByText('This was changed meanwhile').waitFor();
  assert.equal((await stack.v1('GET', '/v1/subscriptions/shop-orders')).body.state, 'BLOCKED');
  await unblock(dana);
  // Back to a page with the button Unblock, which is asked for again, so that it says what is so now.
  await dana.page.goBack();
  assert.equal(await dana.button('Unblock').count(), 0);
  await stack.answerNow(ORDERS, stack.keys.production, PRODUCTION);
  dana.isWell('back');
});

test('two publishers who click at once: one block is made, and both see the same', async () => {
  // Two people of one team have its token.
  const [one, other] = await Promise.all([1, 2].map(() => person(stack, stack.tokens.publisher)));
  for (const both of [one, other]) {
    await both.open('/console/subscriptions/shop-orders/block');
    await both.page.getByLabel('Production only').check();
  }
  const before = (await stack.v1('GET', '/v1/audit?kind=subscription&id=shop-orders&limit=100')).body.items.length;
  await Promise.all([one, other].map((both) => both.button('Block').click()));
  for (const both of [one, other]) await both.says('It is blocked');
  const audit = (await stack.v1('GET', '/v1/audit?kind=subscription&id=shop-orders&limit=100')).body.items;
  assert.equal(audit.length, before + 1, 'one change');
  // And with different wishes: the slower one is told what the faster one did, and nothing is changed.
  await unblock(one);
  await one.open('/console/subscriptions/shop-orders/block');
  await other.open('/console/subscriptions/shop-orders/block');
  await one.page.getByLabel('Reason').fill('too many requests');
  await one.button('Block').click();
  await complete(one);
  await other.page.getByLabel('Production only').check();
  await other.page.getByLabel('Note to the subscriber').fill('typed for nothing?');
  await other.button('Block').click();
  await other.says('This was changed meanwhile');
  await other.says('too many requests');
  // What was typed is kept.
  assert.equal(await other.page.getByLabel('Note to the subscriber').inputValue(), 'typed for nothing?');
  assert.equal((await stack.v1('GET', '/v1/subscriptions/shop-orders')).body.state, 'BLOCKED');
  await unblock(one);
  for (const both of [one, other]) both.isWell('two at once');
});

test('a service that is killed in the middle of a session keeps session, block and receipt', async () => {
  const dana = await person(stack, stack.tokens.publisher);
  await form(dana);
  await dana.button('Block').click();
  await stack.command('restart');
  // The gateways come back by themselves, and the receipt fills, although its requests failed meanwhile.
  await complete(dana);
  await stack.answerNow(ORDERS, stack.keys.production, BLOCKED);
  await dana.open('/console');
  await unblock(dana);
  // The polls of the receipt met a closed port. The browser says so on its console; nothing else may be wrong.
  const wrong = dana.wrong.filter((text) => !/ERR_CONNECTION|net::|htmx:sendError/.test(text));
  assert.deepEqual(wrong, []);
});

test('the keyboard alone goes from the start page to a block', async () => {
  const dana = await person(stack, stack.tokens.publisher);
  await dana.open('/console');
  const { keyboard } = dana.page;
  // Tabs until the focus is on something with these words, which must be visible there.
  const tabTo = async (words) => {
    for (let tabs = 0; tabs < 80; tabs += 1) {
      await keyboard.press('Tab');
      const at = await dana.page.evaluate(() => {
        const e = document.activeElement;
        const label = e.labels?.[0]?.innerText ?? e.innerText ?? '';
        const style = getComputedStyle(e);
        const isSeen = style.outlineStyle !== 'none' && Number.parseFloat(style.outlineWidth) >= 2;
        return { label, isSeen };
      });
      if (words.test(at.label)) {
        assert.ok(at.isSeen, `the focus on ${at.label} is not visible`);
        return;
      }
    }
    assert.fail(`no ${words} by the keyboard on ${dana.page.url()}`);
  };
  // The first stop skips the navigation.
  await keyboard.press('Tab');
  await keyboard.press('Enter');
  assert.equal(await dana.page.evaluate(() => document.activeElement.id), 'main');
  await tabTo(/^Orders/);
  await keyboard.press('Enter');
  await dana.page.waitForURL(/apis/);
  await tabTo(/^Block\s+shop/);
  await keyboard.press('Enter');
  await dana.page.waitForURL(/block$/);
  await tabTo(/^Production and sandbox/);
  await keyboard.press('ArrowDown');
  await tabTo(/^Until somebody/);
  await keyboard.press('ArrowDown');
  await keyboard.press('ArrowDown');
  await tabTo(/^Block$/);
  await keyboard.press('Enter');
  await complete(dana);
  const { block } = (await stack.v1('GET', '/v1/subscriptions/shop-orders')).body;
  assert.equal(block.state, 'PROD_ONLY_BLOCKED');
  assert.ok(block.until * 1000 > Date.now());
  await unblock(dana);
  dana.isWell('keyboard');
});

test('without scripts the same can be done, and the receipt is looked at by hand', async () => {
  const dana = await person(stack, stack.tokens.publisher, { javaScriptEnabled: false });
  await form(dana);
  await dana.page.getByLabel('Production only').check();
  await dana.page.getByLabel('Until a time').check();
  await dana.page.getByLabel('Time', { exact: true }).fill('2199-01-01T10:30');
  await dana.button('Block').click();
  await dana.says('The block is saved');
  for (let looks = 0; !/Complete/.test(await dana.text()); looks += 1) {
    assert.ok(looks < 50, 'the receipt never completes');
    await dana.link('Look again').first().click();
  }
  await stack.answerNow(ORDERS, stack.keys.production, BLOCKED);
  await stack.answerNow(ORDERS, stack.keys.sandbox, SANDBOX);
  const { block } = (await stack.v1('GET', '/v1/subscriptions/shop-orders')).body;
  assert.equal(new Date(block.until * 1000).toISOString(), '2199-01-01T10:30:00.000Z', 'in UTC, as the field says');
  await dana.open('/console/subscriptions/shop-orders');
  await dana.button('Unblock').click();
  await stack.answer(ORDERS, stack.keys.production, PRODUCTION);
  // What is live says how else to get it, and nothing asks for a script.
  assert.doesNotMatch(await dana.text(), /enable JavaScript/i);
  dana.isWell('without scripts');
});

test('a subscription that waits is approved with one click, and its keys work', async () => {
  const dana = await person(stack, stack.tokens.publisher);
  const REPORTS = '/reports/1.0/monthly';
  const [{ status }] = await stack.answers(REPORTS, stack.keys.production);
  assert.equal(status, 401, 'it waits');
  await dana.open('/console');
  await dana.click(dana.row('reports-1.0').getByRole('button', { name: /^Approve/ }).first());
  await dana.says('The subscription is approved');
  await complete(dana);
  await stack.answerNow(REPORTS, stack.keys.production, PRODUCTION);
  dana.isWell('approve');
});
