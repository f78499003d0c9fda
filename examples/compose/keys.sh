#!/bin/sh
# Makes the secret of this example, and tokens, with openssl alone.
#
#   ./keys.sh make     makes secrets/jwt_secret
#   ./keys.sh token    prints a token signed with it
set -eu
cd "$(dirname "$0")"

b64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

case "${1-}" in
make)
	if [ -e secrets/jwt_secret ]; then
		echo 'secrets/jwt_secret already exists and is not overwritten; remove it for a new secret' >&2
		exit 1
	fi
	# Compose mounts the file with its owner and mode as they are here, and the user in
	# the container is another one. So everybody may read the file, but on this machine
	# only you can get into the folder.
	umask 077
	mkdir -p secrets
	chmod 0700 secrets
	openssl rand -hex 32 >secrets/jwt_secret
	chmod 0444 secrets/jwt_secret
	echo 'Made secrets/jwt_secret.'
	;;
token)
	head=$(printf '{"alg":"HS256","typ":"JWT"}' | b64)
	claims=$(printf '{"iss":"internal","aud":"https://api.example.com","sub":"alice","exp":%d}' $(($(date +%s) + 3600)) | b64)
	signature=$(printf '%s.%s' "$head" "$claims" | openssl dgst -sha256 -hmac "$(cat secrets/jwt_secret)" -binary | b64)
	printf '%s.%s.%s\n' "$head" "$claims" "$signature"
	;;
*)
	sed -n '2,5p' "$0" >&2
	exit 2
	;;
esac
