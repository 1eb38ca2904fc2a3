// Every page that a person can reach by links, beginning with the start page. So a new page is checked without being named
// in a test.
import assert from 'node:assert/strict';

// Pages of a shape that are opened: `/console/apis/orders-1.0/edit` has the shape `/console/apis/…/edit`.
const OF_A_SHAPE = 2;
// No console of the demo has so many.
const PAGES = 200;

// Ids of the demo data, some of which look like words of paths.
const IDS = [
  'shop', 'partner', 'visitor', 'dashboard', 'trial', 'orders-1.0', 'payments-1.0', 'reports-1.0', 'shop-orders', 'shop-payments',
  'shop-reports', 'partner-orders', 'partner-payments', 'dashboard-orders',
];

// The fixed words of paths. Every other part is an id.
const isWord = (part) => /^[a-z]+(-[a-z]+)?$/.test(part);

// The kind of a page: its path with `…` for each id, and the names of its parameters.
export function shape(address, more = []) {
  const ids = new Set([...IDS, ...more]);
  const url = new URL(address);
  const parts = url.pathname.split('/').map((part) => ((part !== '' && !isWord(part)) || ids.has(decodeURIComponent(part)) ? '…' : part));
  return parts.join('/') + [...url.searchParams.keys()].sort().map((name) => `?${name}`).join('');
}

// Opens every page, and calls `look` on each. Returns the shapes, and the forms by the shape of their action.
export async function crawl(person, look = async () => {}, ids = []) {
  const waiting = [person.at('/console')];
  const seen = new Set(waiting);
  const shapes = new Map();
  const forms = new Map();
  while (waiting.length > 0) {
    const address = waiting.shift();
    const kind = shape(address, ids);
    const opened = shapes.get(kind) ?? 0;
    if (opened >= OF_A_SHAPE) continue;
    shapes.set(kind, opened + 1);
    assert.ok([...shapes.values()].reduce((a, b) => a + b) < PAGES, `more than ${PAGES} pages`);
    const response = await person.page.goto(address).catch((error) => {
      if (!/Download is starting/.test(error.message)) throw error;
    });
    if (!response) continue; // a file
    assert.equal(response.status(), 200, `${address}, a link that this person was shown`);
    await look(person, kind);
    const found = await person.page.evaluate(() => ({
      links: [...document.querySelectorAll('a[href]')].map((a) => a.href),
      forms: [...document.querySelectorAll('form[method=post]')].map((f) => f.action),
    }));
    for (const action of found.forms) forms.set(shape(action, ids), action);
    for (const link of found.links) {
      const url = new URL(link);
      url.hash = '';
      assert.equal(url.origin, new URL(address).origin, `${address} leads elsewhere`);
      if (!seen.has(url.href)) {
        seen.add(url.href);
        waiting.push(url.href);
      }
    }
  }
  return { shapes: [...shapes.keys()].sort(), forms };
}
