// What an operator and an administrator do: find whose a key is without telling it to anyone, ask why a request is refused, see
// gateways come and go, and restore an earlier policy after a preview.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { close, launch, person } from './lib/browser.mjs';
import { BLOCKED, ORDERS, PAYMENTS, reaches, start } from './lib/stack.mjs';

const PRODUCTION = reaches('production');

let stack;
before(async () => {
  stack = await start('operator');
  await launch();
});
after(async () => {
  await close();
  await stack?.end();
});

for (const javaScriptEnabled of [true, false]) {
  test(`whose is this: a key, its digest, an id, a name (scripts: ${javaScriptEnabled})`, async () => {
    const oscar = await person(stack, stack.tokens.operator, { javaScriptEnabled });
    const asked = [];
    oscar.context.on('request', (request) => asked.push(`${request.url()} ${JSON.stringify(request.headers())}`));
    const key = stack.keys.production;
    const digest = createHash('sha256').update(key).digest('hex');
    const find = async (what) => {
      await oscar.open('/console/find');
      await oscar.page.getByLabel(/^A key/).fill(what);
      await oscar.button('Whose is this?').click();
      await oscar.page.getByRole('heading', { name: 'What was found' }).waitFor();
    };
    for (const what of [key, digest]) {
      await find(what);
      await oscar.says('It is the key');
      assert.match(await oscar.text(), /alice/);
      const shown = await oscar.page.content();
      assert.ok(!shown.includes(what), 'what was typed is not shown again');
    }
    if (javaScriptEnabled) await oscar.check('a key was found');
    for (const [what, words] of [['shop', 'Applications'], ['shop-orders', 'Subscriptions'], ['Payments', 'APIs']]) {
      await find(what);
      await oscar.says(words);
    }
    await find('nobody-has-this');
    await oscar.says('Nothing was found');
    if (javaScriptEnabled) await oscar.check('nothing was found');
    assert.ok(!asked.some((line) => line.includes(key)), 'a key in an address or a header');
    assert.ok(!readFileSync(stack.log, 'utf8').includes(key), 'a key in the log');
    oscar.isWell('find');
  });
}

test('why is it refused: the rules of the decision, and the answer that the gateway gives', async () => {
  const oscar = await person(stack, stack.tokens.operator);
  await stack.make('/v1/subscriptions/shop-orders/block', { state: 'PROD_ONLY_BLOCKED', note: 'pay' });
  await stack.answer(ORDERS, stack.keys.production, BLOCKED);
  const explain = async (key, path) => {
    await oscar.open('/console/explain');
    await oscar.page.getByLabel('URL').fill(`${stack.gateways[0]}${path}`);
    await oscar.page.getByLabel('Key', { exact: true }).fill(key);
    await oscar.button('Explain').click();
    await oscar.says('The rules, in the order of the decision');
  };
  await explain(stack.keys.production, ORDERS);
  for (const words of ['subscription_blocked', '900907']) await oscar.says(words);
  assert.ok(!(await oscar.page.content()).includes(stack.keys.production), 'the key is not shown again');
  await oscar.check('explained');
  await stack.make('/v1/subscriptions/shop-orders/block', { state: 'PROD_ONLY_BLOCKED', until: Date.parse('2100-01-01T00:00:07Z') / 1000 });
  await explain(stack.keys.production, ORDERS);
  await oscar.says('1 Jan 2100, 01:00:07');
  await explain(stack.keys.sandbox, ORDERS);
  assert.doesNotMatch(await oscar.text(), /900907/);
  await explain(stack.keys.production, PAYMENTS);
  assert.doesNotMatch(await oscar.text(), /900907/);
  await stack.make('/v1/subscriptions/shop-orders/unblock');
  oscar.isWell('explain');
});

test('usage has the hours and the days of the reader', async () => {
  const oscar = await person(stack, stack.tokens.operator, { timezoneId: 'Asia/Kathmandu' });
  await oscar.open('/console/usage');
  await oscar.page.getByText(/Times in Asia\/Kath?mandu/).waitFor();
  // The hours of UTC begin at a quarter to each hour there.
  const marks = await oscar.page.locator('.times time').allInnerTexts();
  assert.ok(marks.length > 1 && marks.every((mark) => /^\d+ \w+, \d\d:45$/.test(mark)), `${marks}`);
  const titles = () => oscar.page.locator('svg title').allTextContents();
  const [hour] = await titles();
  assert.match(hour, /^\d+ \w+, \d\d:45: \d+ allowed/);
  await oscar.page.getByText('Show as a table').click();
  await oscar.page.locator('.chart table').getByText(/:45 GMT\+5:45$/).first().waitFor();
  await oscar.check('usage by the hour');
  const today = () => new Intl.DateTimeFormat('en-GB', { timeZone: 'Asia/Kathmandu', day: 'numeric', month: 'short', year: 'numeric' }).format();
  const before = today();
  await oscar.page.getByLabel('Time', { exact: true }).selectOption('30');
  await oscar.button('Show').click();
  await oscar.says('Days of UTC+05:45');
  const day = (await titles()).at(-1).split(':')[0];
  // The test may run over midnight there.
  assert.ok([before, today()].includes(day), day);
  await oscar.check('usage by the day');
  oscar.isWell('usage');
});

test('gateways change while one looks', async () => {
  const oscar = await person(stack, stack.tokens.operator);
  await oscar.open('/console/gateways');
  for (const name of ['edge-1', 'edge-2']) await oscar.says(name);
  await oscar.page.evaluate(() => { globalThis.sameDocument = true; });
  const { revision } = await stack.make('/v1/subscriptions/shop-orders/block?receipt=10').then(({ receipt }) => receipt);
  await oscar.says(String(revision));
  await stack.command('stop');
  // Ended a moment ago, it misses the next revision.
  await stack.make('/v1/subscriptions/shop-orders/unblock');
  await oscar.page.getByText(/behind|latest revision/i).first().waitFor({ timeout: 20_000 });
  assert.ok(await oscar.page.evaluate(() => globalThis.sameDocument), 'without another page');
  await oscar.check('gateways');
  // Another process takes its place. The one that ended is removed by the page, and receipts do not wait for it any more.
  await stack.command('start');
  await stack.answer(ORDERS, stack.keys.production, PRODUCTION);
  const ended = (await stack.v1('GET', '/v1/gateways')).body.items
    .filter(({ instance }) => instance === 'edge-2')
    .sort((one, other) => one.last_seen - other.last_seen)[0];
  await oscar.open(`/console/gateways/${ended.id}/remove`);
  await oscar.page.locator('main form').getByRole('button').click();
  await oscar.says('Receipts do not wait for it any more');
  const { complete } = (await stack.make('/v1/subscriptions/shop-orders/block?receipt=10')).receipt;
  assert.ok(complete, 'both gateways that run have it');
  await stack.make('/v1/subscriptions/shop-orders/unblock');
  oscar.isWell('gateways');
});

test('what changes by itself says when it is not updated any more, and takes that back', async () => {
  const oscar = await person(stack, stack.tokens.operator);
  const message = (id) => oscar.page.locator(`#${id}`);
  const words = /^Not updated since \d\d:\d\d:\d\d; the policy service (does not answer|answers with status 503)\.$/;
  await stack.command('stop');
  try {
    // A receipt that is not complete, because a gateway has just ended; the list; and the page of the receipt.
    const { revision } = (await stack.make('/v1/subscriptions/shop-orders/block?receipt=1')).receipt;
    for (const [path, id] of [['/console/gateways', 'gateways-late'], [`/console/receipts/${revision}`, 'receipt-late']]) {
      await oscar.open(path);
      assert.equal(await message(id).getAttribute('aria-live'), 'polite');
      assert.equal(await message(id).innerText(), '');
      // Nothing answers; then something answers that it cannot.
      for (const broken of [(route) => route.abort(), (route) => route.fulfill({ status: 503, body: '' })]) {
        await oscar.page.route('**/console/**', broken);
        await oscar.page.waitForFunction((it) => document.getElementById(it).textContent, id);
        const said = await message(id).innerText();
        assert.match(said, words);
        await oscar.page.waitForTimeout(6_000);
        assert.equal(await message(id).innerText(), said, 'it says the same time as long as there is no answer');
        await oscar.page.unroute('**/console/**');
        await oscar.page.waitForFunction((it) => !document.getElementById(it).textContent, id);
      }
    }
  } finally {
    await stack.command('start');
    await stack.make('/v1/subscriptions/shop-orders/unblock');
    await stack.answer(ORDERS, stack.keys.production, PRODUCTION);
    // The process that ended would keep the receipts of the tests below incomplete.
    const ended = (await stack.v1('GET', '/v1/gateways')).body.items
      .filter(({ instance }) => instance === 'edge-2')
      .sort((one, other) => one.last_seen - other.last_seen)[0];
    assert.equal((await stack.v1('DELETE', `/v1/gateways/${ended.id}`)).status, 204);
  }
  // The requests that failed on purpose are in the browser's console, and nothing else.
  assert.deepEqual(oscar.wrong.filter((line) => !/503|htmx:(sendError|afterRequest)|Response Status Error/.test(line)), []);
});

test('a restore shows first what it would change, and leaves blocks as they are', async () => {
  const adam = await person(stack, stack.tokens.administrator);
  const latest = async () => (await stack.v1('GET', '/v1/revisions?sort=-revision&limit=1')).body.items[0].revision;
  const good = await latest();
  // Somebody changes more than was meant, and somebody else blocks an application for a good reason.
  assert.equal((await stack.v1('DELETE', '/v1/subscriptions/partner-orders')).status, 204);
  await stack.make('/v1/subscriptions/shop-orders/block');
  await stack.answer(ORDERS, stack.keys.partner, { status: 403, code: '900908' });
  await stack.answer(ORDERS, stack.keys.production, BLOCKED);
  const before = await latest();
  await adam.open('/console/history');
  await adam.page.getByRole('link', { name: `Restore revision ${good}`, exact: true }).click();
  await adam.button('Show the preview').click();
  await adam.says('What would change');
  await adam.says('What would not be as it was');
  assert.match(await adam.text(), /shop-orders/);
  assert.equal(await latest(), before, 'a preview changes nothing');
  await adam.check('preview');
  await adam.page.getByRole('button', { name: /^Restore/ }).click();
  await adam.says('The restore is done');
  await adam.page.getByText(/^.?\s*Complete/).first().waitFor({ timeout: 15_000 });
  await stack.answerNow(ORDERS, stack.keys.partner, PRODUCTION);
  await stack.answerNow(ORDERS, stack.keys.production, BLOCKED);
  await adam.check('restored');
  adam.isWell('restore');
});

test('a token is shown once, works, and ends when it is revoked', async () => {
  const adam = await person(stack, stack.tokens.administrator);
  await adam.open('/console/tokens');
  await adam.link('New token').first().click();
  await adam.page.getByLabel('Subject').fill('nora');
  await adam.page.getByLabel('Role').selectOption('publisher');
  await adam.page.locator('main form').getByRole('button').first().click();
  await adam.says('Give it to its bearer now');
  const token = await adam.page.locator('#secret').inputValue();
  await adam.check('a new token');
  assert.equal((await stack.v1('GET', '/v1/me', undefined, token)).body.subject, 'nora');
  await adam.page.reload();
  assert.ok(!(await adam.page.content()).includes(token), 'not after a reload');
  await adam.open('/console/tokens');
  assert.ok(!(await adam.page.content()).includes(token));
  await adam.row('nora').getByRole('link', { name: /^Revoke/ }).click();
  await adam.button('Revoke the token').click();
  await adam.says('revoked');
  assert.equal((await stack.v1('GET', '/v1/me', undefined, token)).status, 401);
  adam.isWell('tokens');
});

test('what is typed into a field of a choice chooses it, and is not sent beside another choice', async () => {
  const oscar = await person(stack, stack.tokens.operator);
  const make = async (name, chooses) => {
    await oscar.open('/console/new/gateway-credential');
    await oscar.page.getByLabel('Client id').fill(name);
    await oscar.page.getByLabel('Ids of the APIs').fill('orders-1.0');
    assert.ok(await oscar.page.getByLabel('Only some').isChecked(), 'typing chooses');
    await chooses();
    await oscar.button('Make the credential').click();
    await oscar.says('Keep it now');
    const { items } = (await stack.v1('GET', '/v1/gateways/credentials?limit=1000')).body;
    return items.find(({ client_id }) => client_id === name).apis;
  };
  assert.deepEqual(await make('typed', async () => {}), ['orders-1.0']);
  assert.equal(await make('changed', () => oscar.page.getByLabel('All APIs').check()), null);
  // A block whose end was typed first, and then chosen.
  await oscar.open('/console/subscriptions/shop-orders/block');
  await oscar.page.getByLabel('Time', { exact: true }).fill('2199-01-01T00:00');
  assert.ok(await oscar.page.getByLabel('Until a time').isChecked());
  await oscar.page.getByLabel('For 1 hour').check();
  await oscar.page.locator('main form').getByRole('button').click();
  await oscar.says('The block is saved');
  const { block } = (await stack.v1('GET', '/v1/subscriptions/shop-orders')).body;
  assert.ok(Math.abs(block.until - Date.now() / 1000 - 3_600) < 60, String(block.until));
  await stack.make('/v1/subscriptions/shop-orders/unblock');
  // Read again, the page does not say what holds no more.
  await oscar.page.reload();
  assert.doesNotMatch(await oscar.text(), /The block is saved|Complete/);
  oscar.isWell('choices');
});
