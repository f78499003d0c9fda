// Reads one JSON request on stdin, prints a compact token made by jose:
//   {"alg": "ES256", "header": {...}, "claims": {...}, "jwk": {...}}
//   {"alg": "HS256", "header": {...}, "claims": {...}, "secret": "<base64url>"}
import { CompactSign, importJWK } from 'jose';
import { readFileSync } from 'node:fs';

const { alg, header = {}, claims, jwk, secret } = JSON.parse(readFileSync(0, 'utf8'));
const key = secret === undefined
  ? await importJWK(jwk, alg)
  : new Uint8Array(Buffer.from(secret, 'base64url'));
const payload = new TextEncoder().encode(JSON.stringify(claims));
const token = await new CompactSign(payload).setProtectedHeader({ ...header, alg }).sign(key);
process.stdout.write(token);
