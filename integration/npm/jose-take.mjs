// Verifies tokens with jose:
//   node jose-take.mjs
// It reads one request of JSON on stdin, a list of {"alg": …, "token": …, "jwks": {…} or "secret": the text},
// and answers with a list: the claims of each token, or {"error": the code of jose's error}.
import { createLocalJWKSet, jwtVerify } from 'jose';
import { readFileSync } from 'node:fs';

const answers = [];
for (const { alg, token, jwks, secret } of JSON.parse(readFileSync(0, 'utf8'))) {
  try {
    const key = jwks ? createLocalJWKSet(jwks) : new TextEncoder().encode(secret);
    const { payload } = await jwtVerify(token, key, { algorithms: [alg], issuer: 'my-app', audience: 'api', requiredClaims: ['exp', 'iat', 'jti'] });
    answers.push(payload);
  } catch (e) {
    answers.push({ error: e.code });
  }
}
console.log(JSON.stringify(answers));
