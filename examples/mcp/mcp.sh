#!/bin/sh
# Keys, programs and clients of this example.
#
#   ./mcp.sh make                  makes the programs, and the keys of the clients
#   ./mcp.sh run                   runs the MCP server, and Caddy in front of it
#   ./mcp.sh call agent list       calls a tool, as a client that knows one URL and its secret
set -eu
cd "$(dirname "$0")"

case "${1-}" in
make)
	for file in clients.jsonl agent.key viewer.key robot.key; do
		if [ -e "$file" ]; then
			echo "$file already exists and is not overwritten; remove clients.jsonl, *.key and *.pem for new keys" >&2
			exit 1
		fi
	done
	[ -e caddy ] || go build -C ../.. -o "$PWD/caddy" ./cmd/caddy
	[ -e notes-server ] || go build -o notes-server ./server
	[ -e notes-client ] || go build -o notes-client ./client
	umask 077
	new='./caddy jwt api-key new --append clients.jsonl --no-wait'
	$new --id agent --consumer agent --scopes mcp:write >agent.key
	$new --id viewer --consumer viewer --scopes mcp:read >viewer.key
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out robot.key 2>/dev/null
	openssl pkey -in robot.key -pubout -out robot.pem
	echo 'Made clients.jsonl, agent.key, viewer.key and the key pair of robot. Start both with:'
	echo '  ./mcp.sh run'
	;;
run)
	./notes-server &
	server=$!
	./caddy run &
	caddy=$!
	# Ctrl-C ends both: the shell has them ignore it, as they are in the background.
	trap 'kill "$server" "$caddy" 2>/dev/null || :' INT TERM
	wait "$caddy" || :
	kill "$server" 2>/dev/null || :
	wait
	;;
call)
	[ $# -ge 3 ] || { sed -n '4,6p' "$0" >&2; exit 2; }
	client=$2
	shift 2
	CLIENT_SECRET=$(cat "$client.key") exec ./notes-client "http://localhost:${MCP_PORT:-8582}/mcp" "$client" "$@"
	;;
*)
	sed -n '4,6p' "$0" >&2
	exit 2
	;;
esac
