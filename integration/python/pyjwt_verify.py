"""Verifies access tokens with PyJWT and the key set that their issuer publishes.

It reads one request of JSON on stdin and answers with JSON on stdout, as
../npm/jose-verify.mjs does.
"""

import json
import sys
import urllib.request

import jwt

asked = json.load(sys.stdin)
with urllib.request.urlopen(asked["issuer"] + "/.well-known/oauth-authorization-server", timeout=20) as response:
    metadata = json.load(response)
keys = jwt.PyJWKClient(metadata["jwks_uri"])
answers = []
for token in asked["tokens"]:
    try:
        key = keys.get_signing_key_from_jwt(token)
        answers.append(
            jwt.decode(
                token,
                key.key,
                algorithms=["ES256", "RS256", "EdDSA"],
                audience=asked["audience"],
                issuer=asked["issuer"],
                options={"require": ["exp", "iat", "jti", "client_id"]},
            )
        )
    except jwt.PyJWTError as e:
        answers.append({"error": type(e).__name__})
json.dump(answers, sys.stdout)
