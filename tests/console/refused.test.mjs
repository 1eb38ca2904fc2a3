// What a role may not do: no page offers it, its pages are refused, and so are its requests, with the person's own session and
// token of forms. Nothing is changed by any of them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { close, launch, person } from './lib/browser.mjs';
import { crawl, shape } from './lib/crawl.mjs';
import { report, start } from './lib/stack.mjs';

const OWN = ['/console/sign-out', '/console/sign-in'];

let stack;
before(async () => {
  stack = await start('refused');
  await launch();
});
after(async () => {
  await close();
  await stack?.end();
});

// Sends a form as the page's own script would: with the session, and the token that stands in the person's pages.
async function send(someone, action) {
  return someone.page.evaluate(async (action) => {
    const token = document.querySelector('input[name=csrf_token]').value;
    const body = new URLSearchParams({ csrf_token: token, state: 'BLOCKED', reason: 'tried', name: 'tried', id: 'tried' });
    const response = await fetch(action, { method: 'POST', body, redirect: 'manual' });
    return { status: response.status, type: response.type };
  }, action);
}

const revision = async () => (await stack.v1('GET', '/v1/revisions?sort=-revision&limit=1')).body.items[0].revision;
const audited = async () => (await stack.v1('GET', '/v1/audit?sort=-seq&limit=1')).body.items[0].seq;

test('each role is refused what only others are offered, by page and by request, and nothing is changed', async () => {
  // What each role is offered, by links and forms.
  const people = new Map();
  const offered = new Map();
  const every = new Map();
  const pages = new Map();
  for (const [role, subject] of [
    ['administrator', 'adam'], ['publisher', 'dana'], ['subscriber', 'alice'], ['operator', 'oscar'], ['auditor', 'audrey'],
  ]) {
    const someone = await person(stack, stack.tokens[role] ?? (await stack.token(role, subject)));
    const mine = new Map();
    const { shapes, forms } = await crawl(someone, async (it, kind) => mine.set(kind, it.page.url()));
    for (const [kind, action] of forms) every.set(kind, action);
    for (const [kind, address] of mine) pages.set(kind, address);
    people.set(role, someone);
    offered.set(role, { shapes: new Set(shapes), forms: new Set(forms.keys()) });
  }
  const [revisionBefore, auditBefore] = [await revision(), await audited()];
  const figures = [];
  for (const [role, someone] of people) {
    const mine = offered.get(role);
    await someone.open('/console');
    let [tried, refusedPages] = [0, 0];
    for (const [kind, action] of every) {
      if (mine.forms.has(kind) || OWN.includes(new URL(action).pathname)) continue;
      await someone.open('/console');
      const { status } = await send(someone, action);
      assert.ok([403, 404, 405].includes(status), `${role} sends ${action}: ${status}`);
      tried += 1;
    }
    for (const [kind, address] of pages) {
      if (mine.shapes.has(kind) || kind.includes('?')) continue;
      const response = await someone.page.goto(address);
      const status = response.status();
      // Some pages are for everyone, and are only not linked for this role.
      if (status === 200) {
        const { length } = await someone.page.locator('main form[method=post]').all();
        assert.equal(length, 0, `${role} is shown a form on ${address} that no link of this role leads to`);
      } else {
        assert.ok([403, 404].includes(status), `${role} opens ${address}: ${status}`);
        assert.match(await someone.text(), /request/i, 'a page that names the request');
        refusedPages += 1;
      }
    }
    figures.push(`${role}: ${tried} forms and ${refusedPages} pages refused`);
    someone.isWell(role);
  }
  assert.deepEqual([await revision(), await audited()], [revisionBefore, auditBefore], 'something was changed');
  report(figures.join('; '));
  assert.ok(!offered.get('auditor').forms.size || [...offered.get('auditor').forms].every((kind) => /sign-out|find|explain/.test(kind)),
    `an auditor is offered ${[...offered.get('auditor').forms]}`);
});

test('a form without the token of the session, and one from another site, change nothing', async () => {
  const dana = await person(stack, stack.tokens.publisher);
  const before = await revision();
  await dana.open('/console');
  const answer = await dana.page.evaluate(async () => {
    const send = (body) => fetch('/console/subscriptions/shop-orders/block', { method: 'POST', body: new URLSearchParams(body) });
    return [(await send({ state: 'BLOCKED' })).status, (await send({ state: 'BLOCKED', csrf_token: 'guessed' })).status];
  });
  assert.deepEqual(answer, [403, 403]);
  // Another site's page with the browser of a person who is signed in.
  const evil = await dana.context.newPage();
  await evil.route('http://evil.example/', (route) => route.fulfill({
    contentType: 'text/html',
    body: `<form method=post action="${dana.at('/console/subscriptions/shop-orders/block')}"><input name=state value=BLOCKED></form>`,
  }));
  await evil.goto('http://evil.example/');
  const [response] = await Promise.all([
    evil.waitForResponse(/shop-orders/),
    evil.evaluate(() => document.forms[0].submit()),
  ]);
  assert.ok([401, 403].includes(response.status()), String(response.status()));
  // Nor does another site show the console in a frame.
  assert.equal((await dana.open('/console')).headers()['x-frame-options'], 'DENY');
  assert.equal(await revision(), before);
});

test('the shape of a path tells words from ids', () => {
  assert.equal(shape('http://x/console/apis/orders-1.0/edit'), '/console/apis/…/edit');
  assert.equal(shape('http://x/console/subscriptions?state=a'), '/console/subscriptions?state');
});
