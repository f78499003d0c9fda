"""Reads one JSON request on stdin, prints a compact token made by PyJWT.

{"alg": "ES256", "header": {...}, "claims": {...}, "jwk": {...}}
{"alg": "HS256", "header": {...}, "claims": {...}, "secret": "<base64url>"}
"""

import base64
import json
import sys

import jwt
from jwt.algorithms import get_default_algorithms


def key(request):
    if "secret" in request:
        text = request["secret"]
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return get_default_algorithms()[request["alg"]].from_jwk(json.dumps(request["jwk"]))


def main():
    request = json.load(sys.stdin)
    token = jwt.encode(
        request["claims"],
        key(request),
        algorithm=request["alg"],
        headers=request.get("header"),
    )
    sys.stdout.write(token)


main()
