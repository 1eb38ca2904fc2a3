// The pictures of docs/console.md and README.md: the main pages, in light and dark, wide and narrow. `KEEP_SCREENSHOTS=1` writes
// them into docs/console; otherwise they are under target/console, where they can be looked at.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { close, launch, person } from './lib/browser.mjs';
import { ROOT, report, start } from './lib/stack.mjs';

const KEPT = join(ROOT, 'docs/console');
const FOLDER = process.env.KEEP_SCREENSHOTS ? KEPT : join(ROOT, 'target/console');
// A document loads several of them, and everyone who clones the repository all of them.
const MOST_BYTES = 120_000;
const MOST_BYTES_TOGETHER = 1_500_000;
const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
const SMALL = { width: 320, height: 640 };

let stack;
before(async () => {
  mkdirSync(FOLDER, { recursive: true });
  stack = await start('screenshots');
  await launch();
});
after(async () => {
  await close();
  await stack?.end();
});

const block = async (dana) => {
  await dana.open('/console/subscriptions/shop-orders/block');
  await dana.page.getByLabel('Production only').check();
  await dana.page.getByLabel(/^Until tomorrow/).check();
  await dana.page.getByLabel('Reason').fill('invoice 2026-131 is open');
  await dana.page.getByLabel('Note to the subscriber').fill('Please pay invoice 2026-131');
};
const blocked = async (dana) => {
  await block(dana);
  await dana.button('Block').click();
  await dana.page.getByText('Complete: 2 live gateways').waitFor();
};

// Name, who, size, colours, and how one gets there.
const PICTURES = [
  ['publisher-start', 'publisher', WIDE, 'light', (dana) => dana.open('/console')],
  ['block', 'publisher', WIDE, 'light', block],
  ['block-phone', 'publisher', PHONE, 'dark', block],
  ['receipt', 'publisher', WIDE, 'dark', blocked],
  ['usage', 'publisher', WIDE, 'light', (dana) => dana.open('/console/usage?days=1')],
  ['subscriber-start', 'subscriber', PHONE, 'light', (alice) => alice.open('/console')],
  ['subscriptions-small', 'publisher', SMALL, 'light', (dana) => dana.open('/console/subscriptions')],
  ['gateways', 'operator', WIDE, 'dark', (oscar) => oscar.open('/console/gateways')],
];

for (const [name, who, viewport, colorScheme, go] of PICTURES) {
  test(`${name}: ${viewport.width} pixels, ${colorScheme}`, async () => {
    const someone = await person(stack, stack.tokens[who], { viewport, colorScheme });
    await go(someone);
    // From its beginning, and with the focus nowhere.
    await someone.page.evaluate(() => { document.activeElement?.blur(); window.scrollTo(0, 0); });
    const path = join(FOLDER, `${name}.png`);
    await someone.page.screenshot({ path, animations: 'disabled' });
    const { size } = statSync(path);
    assert.ok(size < MOST_BYTES, `${path} has ${size} bytes`);
    report(`${name}: ${size} bytes`);
    someone.isWell(name);
  });
}

test('each picture in docs/console is one of these, and a document shows it', () => {
  const shown = ['README.md', 'docs/console.md'].map((path) => readFileSync(join(ROOT, path), 'utf8')).join('\n');
  const sizes = readdirSync(KEPT).map((file) => statSync(join(KEPT, file)).size);
  assert.ok(sizes.length > 0, 'no picture is kept');
  assert.ok(sizes.reduce((a, b) => a + b) < MOST_BYTES_TOGETHER, `${sizes} bytes`);
  for (const file of readdirSync(KEPT)) {
    assert.ok(PICTURES.some(([name]) => `${name}.png` === file), `${file} is not made here`);
    assert.ok(shown.includes(`console/${file}`), `no document shows ${file}`);
  }
});
