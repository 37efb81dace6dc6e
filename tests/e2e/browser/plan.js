// Copyright (c) 2026, gpufleet contributors
// GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Looks at pages of a plan as people would: wide and narrow, light and dark. Prints one JSON array, an entry for each view.
//   node plan.js FOLDER FILE.html...      screenshots go into FOLDER
'use strict';
const path = require('path');
const { chromium } = require('playwright-core');

const VIEWS = [
  { name: 'wide-light', width: 1280, scheme: 'light' },
  { name: 'wide-dark', width: 1280, scheme: 'dark' },
  { name: 'narrow-light', width: 360, scheme: 'light' },
  { name: 'narrow-dark', width: 360, scheme: 'dark' },
];

// Runs in the page: what a reader would stumble over.
function measure() {
  const lightness = (colour) => {
    const parts = colour.match(/[\d.]+/g).slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\)$/.test(colour) && colour !== 'transparent') return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const faint = [];
  for (const element of document.querySelectorAll('h1, h2, h3, p, td, th, dt, dd, code, li, caption, summary, .source')) {
    if (!element.textContent.trim() || !element.offsetParent) continue;
    const [one, other] = [lightness(getComputedStyle(element).color), lightness(behind(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) faint.push(`${element.tagName} ${element.textContent.slice(0, 30)} ${contrast.toFixed(1)}`);
  }
  const bars = [...document.querySelectorAll('.bar')].map((bar) => ({
    label: bar.getAttribute('aria-label'),
    width: bar.clientWidth,
    filled: [...bar.children].reduce((sum, piece) => sum + piece.getBoundingClientRect().width, 0),
    pieces: bar.children.length,
  }));
  const root = document.documentElement;
  return {
    title: document.title,
    overflow: root.scrollWidth - root.clientWidth,
    text: document.body.innerText,
    bars,
    faint,
  };
}

async function main() {
  const [folder, ...files] = process.argv.slice(2);
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
  });
  const seen = [];
  for (const file of files) {
    for (const view of VIEWS) {
      const context = await browser.newContext({
        viewport: { width: view.width, height: 900 },
        colorScheme: view.scheme,
      });
      const page = await context.newPage();
      const said = [];
      const asked = [];
      page.on('console', (message) => said.push(message.text()));
      page.on('pageerror', (error) => said.push(String(error)));
      page.on('request', (request) => asked.push(request.url()));
      await page.goto('file://' + path.resolve(file));
      const found = await page.evaluate(measure);
      const name = `${path.basename(file, '.html')}-${view.name}`;
      await page.screenshot({ path: path.join(folder, `plan-${name}.png`), fullPage: true });
      seen.push({ file, view: view.name, said, asked: asked.length, ...found });
      await context.close();
    }
  }
  await browser.close();
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(String(error));
  process.exit(1);
});
