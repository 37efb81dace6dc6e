// Copyright (c) 2026, gpufleet contributors
// GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Chats as a person would: signs in, picks the model, asks, reads the answer. Prints one JSON object.
// Input by environment, so that the password is in no argument list:
//   CHAT_URL CHAT_EMAIL CHAT_PASSWORD CHAT_MODEL CHAT_QUESTION CHAT_EXPECT CHAT_SCREENSHOT CHAT_PROFILE
'use strict';
const { chromium } = require('playwright-core');

const PATIENCE = 180000; // a small CPU writes a few words a second
const FLAGS = [
  '--no-sandbox', // root, on a machine of its own
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

async function main() {
  const { CHAT_URL, CHAT_EMAIL, CHAT_PASSWORD, CHAT_MODEL, CHAT_QUESTION, CHAT_EXPECT, CHAT_SCREENSHOT, CHAT_PROFILE } =
    process.env;
  const origin = new URL(CHAT_URL).origin;
  const outside = new Set();
  const context = await chromium.launchPersistentContext(CHAT_PROFILE, {
    executablePath: '/usr/bin/chromium',
    headless: true,
    args: FLAGS,
    viewport: { width: 1280, height: 800 },
  });
  const page = context.pages()[0] || (await context.newPage());
  page.setDefaultTimeout(PATIENCE);
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (/^https?:$/.test(url.protocol) && url.origin !== origin) outside.add(url.origin);
  });
  try {
    await page.goto(CHAT_URL + '/auth', { waitUntil: 'domcontentloaded' });
    await page.fill('input[type=email]', CHAT_EMAIL);
    await page.fill('input[type=password]', CHAT_PASSWORD);
    await page.click('button[type=submit]');
    await page.waitForSelector('#chat-input');

    await closeGreeting(page);
    await pickModel(page, CHAT_MODEL);
    await page.click('#chat-input');
    await page.keyboard.type(CHAT_QUESTION);
    await page.keyboard.press('Enter');
    const answer = page.locator('.chat-assistant').last();
    await answer.filter({ hasText: new RegExp(CHAT_EXPECT) }).waitFor();
    // The buttons below an answer appear when it is complete.
    await page.locator('.copy-response-button').last().waitFor({ state: 'attached' });
    await page.screenshot({ path: CHAT_SCREENSHOT });
    const text = (await answer.innerText()).trim();
    console.log(JSON.stringify({ model: CHAT_MODEL, answer: text, url: page.url(), outside: [...outside] }));
  } catch (error) {
    await page.screenshot({ path: CHAT_SCREENSHOT }).catch(() => {});
    const shown = await page.locator('body').innerText().catch(() => '');
    throw new Error(error.message + '\n--- the page shows ---\n' + shown.slice(0, 2000));
  } finally {
    await context.close();
  }
}

// A release greets a new user with a dialog of its news; it may come after the page.
async function closeGreeting(page) {
  const dialog = page.getByRole('button', { name: /Okay, Let's Go/i });
  const picker = page.locator('[id^=model-selector-][id$=-button]').first();
  await picker.waitFor();
  await dialog.first().click({ timeout: 5000 }).catch(() => {});
}

async function pickModel(page, model) {
  const picker = page.locator('[id^=model-selector-][id$=-button]').first();
  await picker.click();
  const choice = page.locator(`[data-value="${model}"], button[aria-label*="${model}"]`).first();
  await choice.click();
  await picker.filter({ hasText: model }).waitFor();
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
