// An OpenID provider on a loopback port, with keys and a client made at start:
//   node oidc-provider.mjs <port> <cert.pem> <key.pem> '{"<audience>": "<alg>", ...}'
// With a fifth argument it is one behind a proxy: the certificate is not used, it
// speaks plain HTTP, and it has this issuer, these clients and scopes:
//   '{"issuer": "https://…", "clients": [{…}], "scopes": ["…"]}'
// A client that names no resource gets tokens for the first audience then.
// It prints one line of JSON when it serves, and ends when stdin does, so that
// it can't outlive the test that started it. A line on stdin changes its keys and
// is answered with one on stdout: `rotate` has new ones sign and drops the old,
// `rotate keep` publishes the old ones behind them. `refresh` makes a refresh token and an ID
// token of the client and prints them as JSON; `down` ends listening, and `up` begins it again, with the tokens of before.
// An audience whose <alg> is "opaque" has opaque tokens.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer as createPlainServer } from 'node:http';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const [port, certFile, keyFile, audiences, behindProxy] = process.argv.slice(2);
const algorithms = JSON.parse(audiences);
const proxied = behindProxy && JSON.parse(behindProxy);

async function signingKey(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg, use: 'sig' };
}

const issuer = proxied?.issuer ?? `https://localhost:${port}`;
const scopes = proxied?.scopes ?? ['read', 'write'];
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
const providerWith = (keys) => new Provider(issuer, {
  clients: [client, ...(proxied?.clients ?? [])],
  cookies: { keys: [cookieKey] },
  // Where no client can get a refresh token, it looks for none when it is asked about one.
  issueRefreshToken: async () => false,
  jwks: { keys: structuredClone(keys) },
  scopes,
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    devInteractions: { enabled: false },
    // Access tokens are opaque without a resource: RFC 8707 names the audience.
    resourceIndicators: {
      enabled: true,
      ...(proxied && { defaultResource: () => Object.keys(algorithms)[0] }),
      getResourceServerInfo: (_ctx, resource) => ({
        audience: resource,
        scope: scopes.join(' '),
        accessTokenFormat: algorithms[resource] === 'opaque' ? 'opaque' : 'jwt',
        accessTokenTTL: 600,
        ...(algorithms[resource] !== 'opaque' && { jwt: { sign: { alg: algorithms[resource] } } }),
      }),
    },
  },
});

let provider;

function handlerWith(keys) {
  provider = providerWith(keys);
  provider.proxy = proxied !== undefined; // X-Forwarded-Proto and -Host are the proxy's
  return provider.callback();
}

let keys = await newKeys();
let handle = handlerWith(keys);

const serve = (req, res) => handle(req, res);
const server = proxied ? createPlainServer(serve) : createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, serve);
server
  .listen(Number(port), '127.0.0.1', () => {
    const { client_id, client_secret } = client;
    console.log(JSON.stringify({ issuer, client_id, client_secret }));
  });

async function idToken() {
  const of = await provider.Client.find(client.client_id);
  const token = new provider.IdToken({ sub: 'alice' }, { client: of });
  token.scope = 'openid';
  return token.issue({ use: 'idtoken' });
}

async function refreshToken() {
  const grant = new provider.Grant({ clientId: client.client_id, accountId: 'alice' });
  grant.addOIDCScope('read');
  const grantId = await grant.save();
  const of = await provider.Client.find(client.client_id);
  return new provider.RefreshToken({ client: of, accountId: 'alice', grantId, scope: 'read', gty: 'authorization_code' }).save();
}

for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'refresh') {
    console.log(JSON.stringify({ refresh_token: await refreshToken(), id_token: await idToken() }));
    continue;
  }
  if (line === 'down') {
    server.close(() => console.log('{"down": true}'));
    server.closeAllConnections();
    continue;
  }
  if (line === 'up') {
    server.listen(Number(port), '127.0.0.1', () => console.log('{"up": true}'));
    continue;
  }
  keys = [...await newKeys(), ...(line === 'rotate keep' ? keys : [])];
  handle = handlerWith(keys);
  console.log('rotated');
}
process.exit(0);
