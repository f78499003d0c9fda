// An OAuth client that knows its issuer's URL and nothing else of it:
//   node oauth-client.mjs oauth4webapi|openid-client
// It reads one request of JSON on stdin and answers with JSON on stdout:
//   {"do": "token", "issuer": …, "client_id": …, "client_secret": … or "key": PEM and "alg": …, "scope": …, "resource": …}
//   {"do": "introspect" or "revoke", …, "token": …}
// An error that the library knows is {"error": {"type": its class, "code": …, "status": …}}.
import { importPKCS8 } from 'jose';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { readFileSync } from 'node:fs';

const asked = JSON.parse(readFileSync(0, 'utf8'));
const parameters = {};
for (const name of ['scope', 'resource']) {
  if (asked[name] !== undefined) parameters[name] = asked[name];
}
const issuer = new URL(asked.issuer);
// Plain HTTP is for this machine alone; both libraries ask for leave.
const plain = issuer.protocol === 'http:';
const key = asked.key && await importPKCS8(asked.key, asked.alg);

async function withOAuth4WebAPI() {
  const options = { [oauth.allowInsecureRequests]: plain };
  const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...options });
  const server = await oauth.processDiscoveryResponse(issuer, found);
  const client = { client_id: asked.client_id };
  const proof = key ? oauth.PrivateKeyJwt(key) : oauth.ClientSecretBasic(asked.client_secret);
  switch (asked.do) {
    case 'token':
      return oauth.processClientCredentialsResponse(server, client,
        await oauth.clientCredentialsGrantRequest(server, client, proof, parameters, options));
    case 'introspect':
      return oauth.processIntrospectionResponse(server, client,
        await oauth.introspectionRequest(server, client, proof, asked.token, options));
    case 'revoke':
      await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, proof, asked.token, options));
      return {};
  }
}

async function withOpenIDClient() {
  const proof = key ? openid.PrivateKeyJwt(key) : openid.ClientSecretPost(asked.client_secret);
  const config = await openid.discovery(issuer, asked.client_id, undefined, proof,
    { execute: plain ? [openid.allowInsecureRequests] : [] });
  switch (asked.do) {
    case 'token':
      return openid.clientCredentialsGrant(config, parameters);
    case 'introspect':
      return openid.tokenIntrospection(config, asked.token);
    case 'revoke':
      await openid.tokenRevocation(config, asked.token);
      return {};
  }
}

try {
  const answer = await (process.argv[2] === 'openid-client' ? withOpenIDClient : withOAuth4WebAPI)();
  console.log(JSON.stringify(answer));
} catch (e) {
  if (e.status === undefined) throw e; // nothing that the server says
  // With a challenge the libraries leave the body, and the code in it, to the program.
  const code = e.error ?? (await e.response.json()).error;
  console.log(JSON.stringify({ error: { type: e.constructor.name, code, status: e.status, text: e.message } }));
}
