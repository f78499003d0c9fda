"""Verifies tokens with PyJWT.

It reads one request of JSON on stdin and answers with JSON on stdout, as
../npm/jose-take.mjs does.
"""

import json
import sys

import jwt

answers = []
for asked in json.load(sys.stdin):
    try:
        if "jwks" in asked:
            kid = jwt.get_unverified_header(asked["token"])["kid"]
            key = next(k for k in jwt.PyJWKSet.from_dict(asked["jwks"]).keys if k.key_id == kid).key
        else:
            key = asked["secret"]
        options = {"require": ["exp", "iat", "jti"]}
        answers.append(jwt.decode(asked["token"], key, algorithms=[asked["alg"]], audience="api", issuer="my-app", options=options))
    except jwt.PyJWTError as e:
        answers.append({"error": type(e).__name__})
json.dump(answers, sys.stdout)
