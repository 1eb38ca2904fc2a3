// Sign-in by OpenID Connect in the browser, at the certified provider of tests/oidc-provider, which is another site than the
// console: `127.0.0.1` and `localhost`. Then what ends a session.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { close, launch, person, visitor } from './lib/browser.mjs';
import { ROOT, start } from './lib/stack.mjs';

const CLIENT = { client_id: 'console', client_secret: 'a secret of this test', token_endpoint_auth_method: 'client_secret_basic' };
const ACCOUNTS = { dana: { role: 'publisher' }, chef: { role: 'chef' } };

let stack;
let provider;
let issuer;

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

before(async () => {
  const port = await freePort();
  const place = `http://localhost:${port}`;
  const manifest = JSON.parse(readFileSync(join(ROOT, 'tests/oidc-provider/package.json'), 'utf8'));
  const client = {
    ...CLIENT, redirect_uris: [`${place}/console/callback`], response_types: ['code'], grant_types: ['authorization_code'],
  };
  const env = {
    ...process.env, ACCOUNTS: JSON.stringify(ACCOUNTS), CLIENTS: JSON.stringify([client]),
    OIDC_PROVIDER: join(ROOT, `.tools/oidc-provider-${manifest.dependencies['oidc-provider']}`),
  };
  provider = spawn('node', [join(ROOT, 'tests/oidc-provider/provider.mjs')], { env, stdio: ['ignore', 'pipe', 'ignore'] });
  const lines = createInterface({ input: provider.stdout });
  issuer = await new Promise((resolve) => lines.once('line', resolve));
  stack = await start('sign-in', {
    POLICY_PORT: String(port), POLICY_PUBLIC_URL: place, POLICY_OIDC_ISSUER: issuer, POLICY_OIDC_CLIENT_ID: CLIENT.client_id,
    POLICY_OIDC_CLIENT_SECRET: CLIENT.client_secret,
  });
  // The browser goes to the public address.
  stack.policy = place;
  await launch();
});
after(async () => {
  await close();
  await stack?.end();
  provider?.kill();
});

async function fromTheProvider(account, options = {}) {
  const someone = await visitor(stack, { extraHTTPHeaders: { 'x-account': account }, ...options });
  someone.elsewhere = [issuer];
  await someone.page.goto(someone.at('/console/apis'));
  await someone.page.getByRole('link', { name: 'Sign in with the identity provider' }).click();
  return someone;
}

for (const javaScriptEnabled of [true, false]) {
  test(`a publisher comes back from another site to the page that was asked for (scripts: ${javaScriptEnabled})`, async () => {
    const dana = await fromTheProvider('dana', { javaScriptEnabled });
    await dana.page.getByRole('button', { name: 'Sign out' }).waitFor();
    assert.equal(dana.path(), '/console/apis');
    assert.match(await dana.page.locator('header').innerText(), /oidc:dana\s*publisher/);
    const cookies = await dana.context.cookies(stack.policy);
    const session = cookies.filter((cookie) => cookie.sameSite === 'Strict');
    assert.equal(session.length, 1, JSON.stringify(cookies));
    assert.ok(session[0].httpOnly);
    // No code and no state stays in an address that the browser remembers or sends on.
    assert.doesNotMatch(dana.page.url(), /code=|state=/);
    await dana.page.getByRole('button', { name: 'Sign out' }).click();
    await dana.page.getByLabel('Token').waitFor();
    // The back button shows nothing of the session that ended.
    await dana.page.goBack();
    assert.equal(await dana.page.getByRole('button', { name: 'Sign out' }).count(), 0);
    dana.isWell('sign-in');
  });
}

test('who has no role of the console, or refuses, reads why', async () => {
  for (const [account, words] of [['chef', /role/], ['nobody', /access_denied/]]) {
    const someone = await fromTheProvider(account);
    await someone.page.getByRole('alert').waitFor();
    assert.match(await someone.text(), words);
    assert.equal((await someone.context.cookies(stack.policy)).filter((cookie) => cookie.sameSite === 'Strict').length, 0);
    await someone.check(`refused ${account}`);
  }
});

test('a token that is revoked ends its session, and the person comes back to the page', async () => {
  const made = await stack.make('/v1/tokens', { role: 'publisher', subject: 'dana' });
  const dana = await person(stack, made.token);
  await dana.open('/console/subscriptions');
  assert.equal((await stack.v1('DELETE', `/v1/tokens/${made.id}`)).status, 204);
  const response = await dana.page.goto(dana.at('/console/subscriptions?state=BLOCKED'));
  assert.equal(response.status(), 401);
  await dana.page.getByLabel('Token').fill(await stack.token('publisher', 'dana'));
  await dana.page.getByRole('button', { name: 'Sign in with the token' }).click();
  await dana.page.getByRole('button', { name: 'Sign out' }).waitFor();
  assert.equal(dana.page.url(), dana.at('/console/subscriptions?state=BLOCKED'));
  dana.isWell('revoked');
});

for (const javaScriptEnabled of [true, false]) {
  test(`what was typed is sent after the sign-in, if the session ended meanwhile (scripts: ${javaScriptEnabled})`, async () => {
    const made = await stack.make('/v1/tokens', { role: 'publisher', subject: 'dana' });
    const dana = await person(stack, made.token, { javaScriptEnabled });
    await dana.open('/console/subscriptions/partner-orders/block');
    await dana.page.getByLabel('Reason').fill('typed for a long time');
    assert.equal((await stack.v1('DELETE', `/v1/tokens/${made.id}`)).status, 204);
    await dana.page.locator('main form').getByRole('button').first().click();
    await dana.says('Your session has ended, so nothing was changed');
    await dana.says('typed for a long time');
    if (javaScriptEnabled) await dana.check('a form without a session');
    // In another tab, as the page says.
    const [tab] = await Promise.all([
      dana.context.waitForEvent('page'),
      dana.link('Sign in in another tab').click(),
    ]);
    await tab.getByLabel('Token').fill(await stack.token('publisher', 'dana'));
    await tab.getByRole('button', { name: 'Sign in with the token' }).click();
    await tab.getByRole('button', { name: 'Sign out' }).waitFor();
    await dana.button('Send the form again').click();
    await dana.says('The form was loaded in another session, so nothing was changed');
    await dana.says('typed for a long time');
    if (javaScriptEnabled) await dana.check('a form of another session');
    await dana.button('Send the form again').click();
    await dana.says('The block is saved');
    const row = (await stack.v1('GET', '/v1/subscriptions/partner-orders')).body;
    assert.equal(row.block.reason, 'typed for a long time');
    await stack.make('/v1/subscriptions/partner-orders/unblock');
    dana.isWell('a form after its session');
  });
}
