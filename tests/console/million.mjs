// Pages of the console over a million keys, in a real browser: every page that links lead to, and searches that look through
// all rows. None may take longer than a second, none may have more than 500 KB. `make bench-console` makes the rows, starts the
// service and calls this (tests/replicas/src/pages.rs).
import assert from 'node:assert/strict';
import { close, launch, person } from './lib/browser.mjs';
import { crawl } from './lib/crawl.mjs';

const MOST_MS = 1_000;
const MOST_BYTES = 500_000;

const { policy, tokens, subscriptions, database } = JSON.parse(process.env.FACTS);
const middle = subscriptions / 2;
// Pages that a crawl does not find: filters that find much, little and nothing, and long spans.
const SEARCHES = {
  publisher: [
    '/console/subscriptions?q=name+77', `/console/subscriptions?q=app-${middle}`, '/console/subscriptions?q=nothing-has-this',
    '/console/subscriptions?state=BLOCKED', '/console/subscriptions?state=REJECTED', '/console/subscriptions?q=77&state=BLOCKED&api=api-0',
    '/console/apis/api-1?q=name+77', '/console/usage?days=365', '/console/usage?days=30&api=api-1', `/console/subscriptions/s-${middle}`,
    `/console/subscriptions/s-${middle}/block`,
  ],
  subscriber: ['/console/catalogue?q=API', '/console/subscriptions?q=name', '/console/usage?days=365'],
  administrator: [
    '/console/applications?q=name+77', '/console/applications?q=nothing-has-this', '/console/applications?state=BLOCKED',
    '/console/audit?kind=subscription', '/console/audit?action=import', '/console/audit?actor=nobody', '/console/history',
    '/console/usage?days=365', `/console/keys/k-${middle}`, `/console/applications/app-${middle}`, '/console/diff?from=0',
    '/console/deny-policies', '/console/tokens',
  ],
};

const slowest = new Map();
const failures = [];

// What the browser measured of the page that is open: from the request to the last byte, and to the end of its scripts.
async function note(who, what) {
  const { ms, loaded, bytes } = await who.page.evaluate(() => {
    const [it] = performance.getEntriesByType('navigation');
    return { ms: it.responseEnd - it.requestStart, loaded: it.domContentLoadedEventEnd - it.requestStart, bytes: it.decodedBodySize };
  });
  const before = slowest.get(what) ?? { ms: 0, loaded: 0, bytes: 0 };
  slowest.set(what, { ms: Math.max(ms, before.ms), loaded: Math.max(loaded, before.loaded), bytes: Math.max(bytes, before.bytes) });
  if (loaded > MOST_MS) failures.push(`${who.page.url()} took ${Math.round(loaded)} ms`);
  if (bytes > MOST_BYTES) failures.push(`${who.page.url()} has ${bytes} bytes`);
}

async function find(adam, what) {
  await adam.open('/console/find');
  await adam.page.getByLabel(/^A key/).fill(what);
  await adam.button('Whose is this?').click();
  await adam.page.getByRole('heading', { name: 'What was found' }).waitFor();
  await note(adam, `find ${what}`);
}

await launch();
for (const role of ['publisher', 'subscriber', 'administrator']) {
  const someone = await person({ policy }, tokens[role]);
  const { shapes } = await crawl(someone, (it, kind) => note(it, `${role} ${kind}`));
  console.log(`# ${database}, ${role}: ${shapes.length} kinds of pages`);
  for (const path of SEARCHES[role]) {
    await someone.open(path);
    await note(someone, `${role} ${path}`);
  }
  // From the first page of the longest list to the third, and back.
  if (role !== 'subscriber') {
    await someone.open('/console/subscriptions');
    for (const name of ['Next', 'Next', 'Previous']) {
      await someone.page.getByRole('link', { name, exact: true }).click();
      await someone.page.waitForLoadState();
      await note(someone, `${role} subscriptions, ${name}`);
    }
  }
  if (role === 'administrator') {
    for (const what of ['app-77', 's-77', 'k-77', 'name 77', 'owner-77', 'nothing-has-this']) await find(someone, what);
  }
  assert.deepEqual(someone.wrong, [], role);
}
await close();

const sorted = [...slowest].sort(([, one], [, other]) => other.loaded - one.loaded);
for (const [what, { ms, loaded, bytes }] of sorted.slice(0, 12)) {
  console.log(`| ${database} | console: ${what} | ${Math.round(ms)} ms, shown after ${Math.round(loaded)} ms, ${Math.round(bytes / 1000)} KB |`);
}
const largest = Math.max(...sorted.map(([, { bytes }]) => bytes));
console.log(`| ${database} | console: ${sorted.length} pages, the largest | ${Math.round(largest / 1000)} KB |`);
assert.deepEqual(failures, []);
