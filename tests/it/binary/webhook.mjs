// Takes or refuses webhook messages with the JavaScript library of Standard Webhooks.
//
// Reads them from stdin, a JSON object a line: "secret", "headers" (an object) and "body" (a text); answers each with a
// line, "taken TYPE" or "refused". TEST_NODE_MODULES names the folder that the library is installed in.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.env.TEST_NODE_MODULES}/`);
const { Webhook, WebhookVerificationError } = require("standardwebhooks");
for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body } = JSON.parse(line);
  try {
    console.log("taken", new Webhook(secret).verify(body, headers).type);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    console.log("refused");
  }
}
