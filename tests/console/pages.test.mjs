// Every page of every role: axe-core finds no violation in light, dark and at 320 pixels, nothing scrolls sideways, no script
// fails, and nothing is refused by the policy for content. Then the same with hostile names in every field.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { close, launch, person, visitor } from './lib/browser.mjs';
import { crawl } from './lib/crawl.mjs';
import { report, start } from './lib/stack.mjs';

const ROLES = [
  ['publisher', 'dana'],
  ['subscriber', 'alice'],
  ['operator', 'oscar'],
  ['auditor', 'audrey'],
  ['administrator', 'adam'],
];
// Pages that each role must reach by links. The crawl finds more.
const REACHED = {
  publisher: ['/console', '/console/apis', '/console/new/api', '/console/subscriptions', '/console/subscriptions/…/block', '/console/usage'],
  subscriber: ['/console'],
  operator: ['/console', '/console/apis', '/console/subscriptions/…/block'],
  auditor: ['/console', '/console/apis', '/console/subscriptions'],
  administrator: ['/console', '/console/apis/…/edit', '/console/subscriptions/…/block'],
};
// The longest text that a field takes.
const MOST_BYTES = 256;
const HOSTILE = {
  markup: '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>',
  quotes: '"\'><svg onload=alert(1)>&amp;&lt;{{7*7}}${7*7}`',
  righttoleft: '\u202egnp.exe \u05e9\u05dc\u05d5\u05dd \u0627\u0644\u0633\u0644\u0627\u0645 \u2067x\u2069',
  emoji: '🧑‍🚀👨‍👩‍👧‍👦🏳️‍🌈é̷̢́'.repeat(4),
  long: 'W'.repeat(MOST_BYTES),
};

let stack;
before(async () => {
  stack = await start('pages');
  await launch();
});
after(async () => {
  await close();
  await stack?.end();
});

const CREDENTIALS = new Map();
async function signedIn(role, subject, options) {
  const known = CREDENTIALS.get(role) ?? stack.tokens[role] ?? (await stack.token(role, subject));
  CREDENTIALS.set(role, known);
  return person(stack, known, options);
}

test('the page that asks to sign in', async () => {
  const someone = await visitor(stack);
  await someone.page.goto(someone.at('/console'));
  await someone.check('sign-in');
  await someone.page.getByLabel('Token').fill('wrong');
  await someone.page.getByRole('button', { name: 'Sign in with the token' }).click();
  await someone.page.getByRole('alert').waitFor();
  await someone.check('sign-in refused');
  someone.isWell('sign-in');
});

for (const [role, subject] of ROLES) {
  test(`every page of ${role}`, async () => {
    const someone = await signedIn(role, subject);
    const { shapes } = await crawl(someone, (it, kind) => it.check(kind));
    for (const kind of REACHED[role]) assert.ok(shapes.includes(kind), `${kind} is not reached: ${shapes.join(' ')}`);
    report(`${role}: ${shapes.length} kinds of pages: ${shapes.join(' ')}`);
    // Pages of problems, too.
    for (const [path, status] of [['/console/no-such-page', 404], ['/console/apis/no-such-api', 404]]) {
      const response = await someone.page.goto(someone.at(path));
      assert.equal(response.status(), status);
      await someone.check(path);
    }
    someone.isWell(role);
  });
}

test('hostile names, owners, notes and reasons stand on every page as text', async () => {
  const ids = [];
  for (const [kind, name] of Object.entries(HOSTILE)) {
    const [api, application] = [`hostile-api-${kind}`, `hostile-app-${kind}`];
    for (const id of [api, application, `hostile-${kind}`, `hostile-plan-${kind}`]) ids.push(id);
    await stack.make('/v1/plans', { id: `hostile-plan-${kind}`, owner: 'dana', limits: [{ requests: 5, per: 'hour' }] });
    await stack.make('/v1/apis', {
      id: api, name, version: '1', owner: 'dana', match: [{ path: `/hostile/${kind}` }], plans: [`hostile-plan-${kind}`], approval: 'manual',
    });
    await stack.make('/v1/applications', { id: application, name, owner: 'alice' });
    await stack.make(`/v1/applications/${application}/keys`, {});
    await stack.make('/v1/subscriptions', { id: `hostile-${kind}`, application, api, plan: `hostile-plan-${kind}` });
    await stack.make(`/v1/subscriptions/hostile-${kind}/block`, { reason: name, note: name });
    await stack.make(`/v1/applications/${application}/block`, { reason: name, note: name });
  }
  const subject = HOSTILE.markup;
  const token = (await stack.v1('POST', '/v1/tokens', { role: 'publisher', subject })).body.token;
  if (token) await stack.make('/v1/apis', { id: 'hostile-own', name: 'own', match: [{ path: '/own' }] }, token);
  let pages = 0;
  for (const [role, who] of ROLES) {
    const someone = await signedIn(role, who);
    someone.page.on('dialog', (dialog) => someone.wrong.push(`a dialog: ${dialog.message()}`));
    await crawl(someone, async (it, kind) => {
      pages += 1;
      const { title, made } = await it.page.evaluate(() => ({
        title: document.title,
        made: [...document.querySelectorAll('main img, main script, main svg[onload], [onerror], [onload]')].map((e) => e.outerHTML),
      }));
      assert.notEqual(title, 'owned', kind);
      assert.deepEqual(made, [], `${kind}: markup of a name became an element`);
      await it.check(`hostile ${kind}`);
    }, ids);
    someone.isWell(`hostile names, ${role}`);
  }
  if (token) {
    const itself = await person(stack, token);
    await itself.check('a hostile subject');
    itself.isWell('a hostile subject');
    assert.ok((await itself.page.locator('header').innerText()).includes('<img src=x'), 'the name as text');
  }
  report(`${pages} pages with hostile names`);
});
