# A small image of Caddy with the jwt handler: docker build -t caddy-jwt .
# The guide docs/guides/install.md explains how to use it, and how to add other plugins.

FROM golang:1.26.8-trixie AS build
WORKDIR /src

# Modules first: they are fetched again only when go.mod changes. go.sum pins all of
# them by their checksums, Caddy too.
COPY go.mod go.sum ./
RUN go mod download

COPY . .
# No cgo, so that the binary needs no libraries. The tags leave out three databases that
# only Caddy's certificate authority could use, as Caddy's own releases do.
RUN CGO_ENABLED=0 go build -trimpath -tags nobadger,nomysql,nopgx -ldflags '-s -w' -o /out/caddy ./cmd/caddy

# Folders that Caddy's user will own. A new named volume takes over owner and mode.
RUN install -d /out/etc/caddy && \
    install -d -m 0700 /out/folders/data /out/folders/config /out/folders/keys

# Debian rather than an empty image, for the health check's shell.
FROM debian:trixie-slim

COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/caddy /usr/bin/caddy
COPY --from=build /out/etc/ /etc/
COPY --from=build --chown=10001:10001 /out/folders/ /

# /data has certificates and the issuers' last good keys; /keys is for files of API keys.
ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config
VOLUME ["/data", "/config", "/keys"]

# By number, as only a number tells Kubernetes that it is not root. The binary
# has no file capabilities: with all capabilities dropped, it would not start.
USER 10001:10001
WORKDIR /data
EXPOSE 8080 8443 8443/udp

# Healthy is a server that answers at its admin endpoint. The exit code of the command
# is not used: it is 1 as well while an issuer is down, when a restart helps nobody.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD caddy jwt status --json | grep -q '"issuers"'

ENTRYPOINT ["caddy"]
CMD ["run", "--config", "/etc/caddy/Caddyfile"]
