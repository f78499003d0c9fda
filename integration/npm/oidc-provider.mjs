// An OpenID provider on a loopback port, with keys and a client made at start:
//   node oidc-provider.mjs <port> <cert.pem> <key.pem> '{"<audience>": "<alg>", ...}'
// It prints one line of JSON when it serves, and ends when stdin does, so that
// it can't outlive the test that started it. A line on stdin changes its keys and
// is answered with one on stdout: `rotate` has new ones sign and drops the old,
// `rotate keep` publishes the old ones behind them.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const [port, certFile, keyFile, audiences] = process.argv.slice(2);
const algorithms = JSON.parse(audiences);

async function signingKey(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg, use: 'sig' };
}

const issuer = `https://localhost:${port}`;
const client = {
  client_id: 'integration-client',
  client_secret: randomBytes(32).toString('base64url'),
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
};

const newKeys = () => Promise.all(['RS256', 'ES256'].map(signingKey));
const cookieKey = randomBytes(32).toString('base64url');

// Each set of keys is a provider of its own: the first key that fits signs.
const handlerWith = (keys) => new Provider(issuer, {
  clients: [client],
  cookies: { keys: [cookieKey] },
  jwks: { keys: structuredClone(keys) },
  scopes: ['read', 'write'],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    // Access tokens are opaque without a resource: RFC 8707 names the audience.
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, resource) => ({
        audience: resource,
        scope: 'read write',
        accessTokenFormat: 'jwt',
        accessTokenTTL: 600,
        jwt: { sign: { alg: algorithms[resource] } },
      }),
    },
  },
}).callback();

let keys = await newKeys();
let handle = handlerWith(keys);

createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (req, res) => handle(req, res))
  .listen(Number(port), '127.0.0.1', () => {
    const { client_id, client_secret } = client;
    console.log(JSON.stringify({ issuer, client_id, client_secret }));
  });

for await (const line of createInterface({ input: process.stdin })) {
  keys = [...await newKeys(), ...(line === 'rotate keep' ? keys : [])];
  handle = handlerWith(keys);
  console.log('rotated');
}
process.exit(0);
