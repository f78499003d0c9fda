"""An OAuth client with Authlib that knows its issuer's URL and nothing else of it.

It reads one request of JSON on stdin and answers with JSON on stdout, as
../npm/oauth-client.mjs does. The private key is a PEM text.
"""

import json
import sys

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc7523.assertion import private_key_jwt_sign


class ShortPrivateKeyJWT(PrivateKeyJWT):
    """Signs for a minute: by itself Authlib's assertion is valid for an hour."""

    def sign(self, auth, token_endpoint):
        return private_key_jwt_sign(
            auth.client_secret, auth.client_id, token_endpoint, alg=self.alg, expires_in=60
        )


asked = json.load(sys.stdin)
metadata = requests.get(asked["issuer"] + "/.well-known/oauth-authorization-server", timeout=20).json()
if metadata["issuer"] != asked["issuer"]:
    sys.exit("the metadata is of another issuer")
secret, method = asked.get("client_secret"), "client_secret_basic"
if "key" in asked:
    secret, method = asked["key"], "private_key_jwt"
session = OAuth2Session(
    asked["client_id"],
    secret,
    token_endpoint_auth_method=method,
    revocation_endpoint_auth_method=method,
    default_timeout=20,
)
# Whatever the endpoint is, the assertion is for the token endpoint.
session.register_client_auth_method(ShortPrivateKeyJWT(metadata["token_endpoint"], alg=asked.get("alg")))
try:
    if asked["do"] == "token":
        parameters = {name: asked[name] for name in ("scope", "resource") if name in asked}
        answer = session.fetch_token(metadata["token_endpoint"], grant_type="client_credentials", **parameters)
    else:
        session.token = {"access_token": asked["token"], "token_type": "bearer"}
        ask = session.introspect_token if asked["do"] == "introspect" else session.revoke_token
        response = ask(metadata[asked["do"].replace("introspect", "introspection").replace("revoke", "revocation") + "_endpoint"], token=asked["token"])
        response.raise_for_status()
        answer = response.json() if response.content else {}
except OAuthError as e:
    answer = {"error": {"type": type(e).__name__, "code": e.error, "text": e.description or ""}}
json.dump(answer, sys.stdout)
