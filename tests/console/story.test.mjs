// The ten steps of WSO2's page "Block Subscription to an API", as a publisher and a subscriber on two computers, and what the
// page promises around them: production and sandbox keys, the other API, another application, and the way back. Both Envoys
// are asked at each step.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { close, launch, person } from './lib/browser.mjs';
import { BLOCKED, reaches, report, start } from './lib/stack.mjs';

const PRODUCTION = reaches('production');
const SANDBOX = reaches('sandbox');
const [ONE, OTHER] = ['/testapi1/1.0/list', '/testapi2/1.0/list'];
const COMPLETE = 'Complete: 2 live gateways decide by it';

let stack;
before(async () => {
  stack = await start('story');
  await launch();
});
after(async () => {
  await close();
  await stack?.end();
});

// Makes a key on the page of an application, and returns it as it is shown.
export async function newKey(alice, application, type) {
  await alice.open(`/console/applications/${application}`);
  await alice.link(/New key|Make the first key/).first().click();
  await alice.says('The key is shown once');
  await alice.page.getByLabel(type, { exact: true }).check();
  await alice.button('Make the key').click();
  return alice.page.getByLabel('The key', { exact: true }).inputValue();
}

test('ten steps in two sessions', async () => {
  // 1: the publisher signs in.
  const dana = await person(stack, stack.tokens.publisher);
  // 2: and makes two APIs, which are published.
  for (const name of ['TestAPI1', 'TestAPI2']) {
    await dana.open('/console/apis');
    await dana.link('New API').first().click();
    await dana.page.getByLabel('Name').fill(name);
    await dana.page.getByLabel('Version').fill('1.0');
    await dana.page.getByLabel('Requests that belong to it').fill(`/${name.toLowerCase()}/1.0`);
    await dana.page.getByLabel(/^Id/).fill(name.toLowerCase());
    await dana.button('Make the API').click();
    await dana.says('Published');
  }
  // 3: the subscriber signs in on another computer and finds both.
  const alice = await person(stack, stack.tokens.subscriber);
  await alice.link('Find an API').first().click();
  for (const name of ['TestAPI1', 'TestAPI2']) assert.equal(await alice.row(name).count(), 1, name);
  // 4: and subscribes to both with one application, made for it.
  await alice.open('/console');
  await alice.link('New application').first().click();
  await alice.page.getByLabel('Name').fill('Test application');
  await alice.page.getByLabel(/^Id/).fill('test-app');
  await alice.button('Make the application').click();
  for (const name of ['TestAPI1', 'TestAPI2']) {
    await alice.open('/console/catalogue');
    await alice.row(name).getByRole('link', { name: /^Subscribe/ }).click();
    await alice.page.getByLabel('Application').selectOption('test-app');
    await alice.button('Subscribe').click();
    await alice.says('The subscription is made');
  }
  // 5: and makes keys, each shown once.
  const production = await newKey(alice, 'test-app', 'Production');
  const sandbox = await newKey(alice, 'test-app', 'Sandbox');
  // 6: both APIs answer.
  await stack.answer(ONE, production, PRODUCTION);
  await stack.answer(ONE, sandbox, SANDBOX);
  await stack.answer(OTHER, production, PRODUCTION);
  // 7: the publisher opens the list of subscriptions.
  await dana.open('/console');
  dana.clicks = 0;
  await dana.click(dana.link('Subscriptions', dana.page.locator('header')));
  const row = dana.row('Test application').filter({ hasText: 'testapi1' });
  assert.match(await row.innerText(), /alice/, 'the owner stands beside it');
  // 8: and blocks the first one, production and sandbox.
  await dana.click(row.getByRole('link', { name: /^Block/ }));
  await dana.page.getByLabel('Note to the subscriber').fill('Please call +1 555 0100');
  await dana.click(dana.button('Block'));
  await dana.page.getByText(COMPLETE).waitFor();
  const clicks = dana.clicks;
  // 9: the link has turned into Unblock.
  await dana.link('Subscriptions', dana.page.locator('header')).click();
  await row.getByRole('button', { name: /^Unblock/ }).waitFor();
  assert.equal(await row.getByRole('link', { name: /^Block/ }).count(), 0);
  // 10: the blocked API refuses both types of keys, and says so; the other one answers, and so do other applications.
  await stack.answerNow(ONE, production, BLOCKED);
  await stack.answerNow(ONE, sandbox, BLOCKED);
  await stack.answerNow(OTHER, production, PRODUCTION);
  const refused = await fetch(stack.gateways[0] + ONE, { headers: { 'x-api-key': production } });
  assert.equal((await refused.json()).message, 'The requested API is temporarily blocked');
  // The subscriber sees it where one looks first, with the note and without the publisher's name or reason.
  await alice.open('/console');
  const said = await alice.text();
  assert.match(said, /What is blocked/);
  assert.match(said, /Test application at testapi1/);
  assert.match(said, /Please call \+1 555 0100/);
  assert.doesNotMatch(said, /dana/);
  assert.ok(said.indexOf('Test application at testapi1') < said.indexOf('Your applications'), 'before everything else');

  // Production only: the subscriber tests with the sandbox key.
  await dana.open('/console/subscriptions?q=test-app');
  await row.getByRole('button', { name: /^Unblock/ }).click();
  await dana.page.getByText(COMPLETE).waitFor();
  await stack.answerNow(ONE, production, PRODUCTION);
  await dana.button('Block').waitFor();
  await dana.page.getByLabel('Production only').check();
  await dana.page.getByLabel(/^Until tomorrow/).check();
  await dana.button('Block').click();
  await dana.page.getByText(COMPLETE).waitFor();
  await stack.answerNow(ONE, production, BLOCKED);
  await stack.answerNow(ONE, sandbox, SANDBOX);
  await alice.open('/console');
  await alice.says('Test application at testapi1');
  assert.match(await alice.text(), /Production/i);
  await dana.button('Unblock').click();
  await dana.page.getByText(COMPLETE).waitFor();
  await stack.answerNow(ONE, production, PRODUCTION);
  await stack.answerNow(ONE, sandbox, SANDBOX);
  await alice.open('/console');
  assert.doesNotMatch(await alice.text(), /Test application at testapi1/);
  report(`WSO2's steps 7 to 9: ${clicks} clicks`);
  dana.isWell('story, publisher');
  alice.isWell('story, subscriber');
});

test('an application without JavaScript: the same story for the subscriber', async () => {
  const alice = await person(stack, stack.tokens.subscriber, { javaScriptEnabled: false });
  await alice.link('New application').first().click();
  await alice.page.getByLabel('Name').fill('Plain');
  await alice.page.getByLabel(/^Id/).fill('plain');
  await alice.button('Make the application').click();
  await alice.open('/console/catalogue?application=plain');
  await alice.row('Orders').getByRole('link', { name: /^Subscribe/ }).click();
  await alice.page.getByLabel('Application').selectOption('plain');
  await alice.button('Subscribe').click();
  const key = await newKey(alice, 'plain', 'Production');
  assert.match(key, /^kg_live_/);
  await stack.answer('/orders/1.0/list', key, PRODUCTION);
  alice.isWell('without scripts');
});
