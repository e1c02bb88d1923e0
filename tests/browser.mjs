// What tests/browser runs: each page, light and dark, wide and narrow.
import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const pictures = process.env.PICTURES;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});

let findings = 0;
const finding = (where, what) => {
  findings += 1;
  console.log(`FOUND ${where}: ${what}`);
};

async function look(target, colorScheme, width) {
  const address = existsSync(target) ? pathToFileURL(realpathSync(target)).href : target;
  // Of an address, the page after the host; ids are cut.
  const title = (/^http/.test(target) ? target.replace(/^[^#]*#/, 'page ') : basename(target)).slice(0, 30);
  const where = `${title} ${colorScheme} ${width}`;
  // The script that looks is not the page's: its own policy would refuse it.
  const context = await browser.newContext({
    bypassCSP: true,
    colorScheme,
    viewport: { width, height: 900 },
  });
  try {
    const page = await context.newPage();
    page.on('pageerror', (error) => finding(where, `script: ${error.message}`));
    const answer = await page.goto(address, { waitUntil: 'load' });
    if (answer && !answer.ok()) finding(where, `answered ${answer.status()}`);
    await page.waitForTimeout(500);
    const name = `${title.replace(/\W+/g, '-')}-${colorScheme}-${width}.png`;
    if (pictures) await page.screenshot({ path: join(pictures, name), fullPage: true });
    // What is folded away is looked at as well.
    await page.evaluate(() => document.querySelectorAll('details').forEach((one) => (one.open = true)));
    const wide = await page.evaluate(() => {
      const room = document.documentElement.clientWidth;
      if (document.documentElement.scrollWidth <= room) return null;
      const boxes = [...document.querySelectorAll('body *')];
      const out = boxes.filter((one) => one.getBoundingClientRect().right > room + 1);
      return out.slice(0, 5).map((one) => one.outerHTML.slice(0, 120));
    });
    if (wide) finding(where, `scrolls sideways: ${wide.join(' | ')}`);
    await page.addScriptTag({ path: axe });
    const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
    for (const one of violations) {
      const nodes = one.nodes.slice(0, 3).map((node) => `${node.target}: ${node.failureSummary}`);
      finding(where, `${one.id} (${one.impact}, ${one.nodes.length}): ${one.help}\n${nodes.join('\n')}`);
    }
    console.log(`${where}: ${passes.length} rules pass, ${violations.length} do not`);
  } finally {
    await context.close();
  }
}

try {
  for (const target of process.argv.slice(2)) {
    for (const colorScheme of ['light', 'dark']) {
      for (const width of [1400, 420]) await look(target, colorScheme, width);
    }
  }
} finally {
  await browser.close();
}
console.log(findings === 0 ? 'nothing found' : `${findings} findings`);
process.exitCode = findings === 0 ? 0 : 1;
