// Takes or refuses access tokens with jose, which knows nothing but the JWKS address, the issuer and the audience.
//
// Called with these three; reads tokens from stdin, one a line; answers each with a line, "taken SUB" or "refused WHY".
// TEST_NODE_MODULES names the folder that jose is installed in.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.TEST_NODE_MODULES}/`);
const { createRemoteJWKSet, jwtVerify } = await import(pathToFileURL(require.resolve("jose")));
const [jwks, issuer, audience] = process.argv.slice(2);
const keys = createRemoteJWKSet(new URL(jwks));
for await (const line of createInterface({ input: process.stdin })) {
  try {
    const { payload } = await jwtVerify(line.trim(), keys, { issuer, audience });
    console.log("taken", payload.sub);
  } catch (error) {
    console.log("refused", error.code ?? error.name);
  }
}
