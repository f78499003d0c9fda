// An MCP client with the TypeScript SDK, which knows the MCP server's URL and its own
// credentials, and nothing else of it:
//   node mcp-client.mjs
// It reads one request of JSON on stdin and answers with JSON on stdout:
//   {"url": …, "client_id": …, "client_secret": … or "key": PEM and "alg": …,
//    "scope": …, "step_up": …, "expected_issuer": …, "calls": [{"name": …, "arguments": …}]}
//   {"tools": [their names], "calls": [{"text": …} or {"error": {…}}]} or {"error": {…}}
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { ClientCredentialsProvider, PrivateKeyJwtProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import { extractWWWAuthenticateParams } from '@modelcontextprotocol/sdk/client/auth.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { readFileSync } from 'node:fs';

const asked = JSON.parse(readFileSync(0, 'utf8'));
const common = { clientId: asked.client_id, scope: asked.scope, expectedIssuer: asked.expected_issuer };
const provider = asked.key
  ? new PrivateKeyJwtProvider({ ...common, privateKey: asked.key, algorithm: asked.alg })
  : new ClientCredentialsProvider({ ...common, clientSecret: asked.client_secret });

// The SDK's providers for programs ask for the scope that they were made with, whatever
// a challenge names. These lines make it the challenge's; docs/guides/mcp-server.md has
// them too.
async function fetchAndStepUp(url, init) {
  const response = await fetch(url, init);
  if (response.status === 401 || response.status === 403) {
    const { scope } = extractWWWAuthenticateParams(response);
    if (scope) provider.clientMetadata.scope = scope;
  }
  return response;
}

const failure = (e) => ({ error: { type: e.constructor.name, code: e.errorCode ?? e.code, text: e.message } });

async function main() {
  const client = new Client({ name: 'client', version: '1.0.0' });
  const transport = new StreamableHTTPClientTransport(new URL(asked.url),
    { authProvider: provider, fetch: asked.step_up ? fetchAndStepUp : undefined });
  try {
    await client.connect(transport);
  } catch (e) {
    return failure(e);
  }
  const answer = { calls: [] };
  answer.tools = (await client.listTools()).tools.map((tool) => tool.name);
  for (const call of asked.calls ?? []) {
    try {
      const result = await client.callTool(call);
      answer.calls.push({ text: result.content.map((part) => part.text).join('') });
    } catch (e) {
      answer.calls.push(failure(e));
    }
  }
  await transport.terminateSession();
  await client.close();
  return answer;
}

console.log(JSON.stringify(await main()));
