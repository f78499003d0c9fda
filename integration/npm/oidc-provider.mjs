// An OpenID provider on a loopback port, with keys and a client made at start:
//   node oidc-provider.mjs <port> <cert.pem> <key.pem> '{"<audience>": "<alg>", ...}'
// It prints one line of JSON when it serves, and ends when stdin does, so that
// it can't outlive the test that started it.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
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

const provider = new Provider(issuer, {
  clients: [client],
  cookies: { keys: [randomBytes(32).toString('base64url')] },
  jwks: { keys: [await signingKey('RS256'), await signingKey('ES256')] },
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
});

createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, provider.callback())
  .listen(Number(port), '127.0.0.1', () => {
    const { client_id, client_secret } = client;
    console.log(JSON.stringify({ issuer, client_id, client_secret }));
  });

process.stdin.on('end', () => process.exit(0)).resume();
