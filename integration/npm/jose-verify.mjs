// Verifies access tokens with jose and the key set that their issuer publishes:
//   node jose-verify.mjs
// It reads one request of JSON on stdin, {"issuer": …, "audience": …, "tokens": […]}, and answers
// with a list: the claims of each token, or {"error": the code of jose's error}.
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { readFileSync } from 'node:fs';

const { issuer, audience, tokens } = JSON.parse(readFileSync(0, 'utf8'));
const metadata = await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json();
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
const answers = [];
for (const token of tokens) {
  try {
    const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt', requiredClaims: ['client_id', 'jti', 'iat', 'exp'] });
    answers.push(payload);
  } catch (e) {
    answers.push({ error: e.code });
  }
}
console.log(JSON.stringify(answers));
