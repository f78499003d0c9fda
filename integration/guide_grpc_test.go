package integration

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// ordersServer is a gRPC server with any method of the services that the guide names. A
// method answers nothing; those that end in Watch answer twice. It keeps the metadata of
// the last call.
type ordersServer struct {
	addr string
	mu   sync.Mutex
	last metadata.MD
}

func newOrdersServer(t *testing.T) *ordersServer {
	t.Helper()
	s := &ordersServer{}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		s.mu.Lock()
		s.last, _ = metadata.FromIncomingContext(stream.Context())
		s.mu.Unlock()
		if err := stream.RecvMsg(new(emptypb.Empty)); err != nil {
			return err
		}
		if strings.HasSuffix(method, "Watch") {
			if err := stream.SendMsg(new(emptypb.Empty)); err != nil {
				return err
			}
		}
		stream.SetTrailer(metadata.Pairs("x-trailer", "arrived"))
		return stream.SendMsg(new(emptypb.Empty))
	}))
	grpc_health_v1.RegisterHealthServer(server, healthy{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return s
}

type healthy struct {
	grpc_health_v1.UnimplementedHealthServer
}

// Check says whether it was sent a user's name, which nobody authenticates here.
func (healthy) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if sent, _ := metadata.FromIncomingContext(ctx); len(sent.Get("x-user")) != 0 {
		return nil, status.Error(codes.Internal, "a forged user")
	}
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}

// dialGRPC is a connection of grpc-go to a site.
func (c *caddy) dialGRPC(t *testing.T, host string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+c.address(),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: c.tlsConfig(host).RootCAs, ServerName: host})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// The sites of docs/guides/grpc.md, between a client and a server of grpc-go.
func TestGuides_GRPC(t *testing.T) {
	t.Parallel()
	const guide, simple, ruled = "grpc.md", "grpc.example.test", "ruled.example.test"
	server := newOrdersServer(t)
	site := func(n int, host string) string {
		return guideSite(t, guide, n, "grpc.example.com", host, append(printedIssuer, "localhost:50051", server.addr)...)
	}
	s := newFixture(t, site(0, simple)+site(1, ruled), options{trusted: true}, keys(t).RS256)
	token := func(changes map[string]any) []string {
		claims := map[string]any{"aud": "https://grpc.example.com", "sub": "alice"}
		for name, value := range changes {
			claims[name] = value
		}
		text := keys(t).RS256.Token(t, s.claims(claims), nil)
		s.logs.forbid(text)
		return []string{"authorization", "Bearer " + text}
	}
	forged := []string{"x-user", "evil", "x_user", "evil", "x-scopes", "evil"}
	unknown := keys(t).ES256.Token(t, s.claims(map[string]any{"aud": "https://grpc.example.com"}), nil)

	for _, c := range []struct {
		name, host, method string
		metadata           []string
		code               codes.Code
	}{
		{"a token", simple, "/shop.Orders/Get", token(nil), codes.OK},
		{"a stream", simple, "/shop.Orders/Watch", token(nil), codes.OK},
		{"no token", simple, "/shop.Orders/Get", nil, codes.Unauthenticated},
		{"an old one", simple, "/shop.Orders/Get", token(map[string]any{"exp": 1_000_000_000}), codes.Unauthenticated},
		{"another key", simple, "/shop.Orders/Get", []string{"authorization", "Bearer " + unknown}, codes.Unauthenticated},
		{"no token, a stream", simple, "/shop.Orders/Watch", nil, codes.Unauthenticated},
		{"no token, a service with a similar name", simple, "/grpc.health.v1.Healthy/Check", nil, codes.Unauthenticated},
		{"no token, a path around the matcher", simple, "/grpc.health.v1.Health/../shop.Orders/Get", nil, codes.Unauthenticated},
		{"a token, reading", ruled, "/shop.Orders/Get", token(nil), codes.OK},
		{"a token without the scope", ruled, "/shop.Orders/Create", token(nil), codes.PermissionDenied},
		{"a token with the scope", ruled, "/shop.Orders/Create", token(map[string]any{"scope": "orders:write"}), codes.OK},
		{"no token, writing", ruled, "/shop.Orders/Delete", nil, codes.Unauthenticated},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			sent := append(c.metadata, forged...)
			if c.host == ruled {
				sent = sent[:len(sent)-2] // its methods forward no scopes
			}
			ctx = metadata.AppendToOutgoingContext(ctx, sent...)
			server.mu.Lock()
			server.last = nil
			server.mu.Unlock()
			answers, trailer, err := callGRPC(ctx, s.dialGRPC(t, c.host), c.method)
			if got := status.Code(err); got != c.code {
				t.Fatalf("%v: %v; want %v", got, err, c.code)
			}
			server.mu.Lock()
			last := server.last
			server.mu.Unlock()
			if c.code != codes.OK {
				if last != nil {
					t.Error("the call reached the server")
				}
				return
			}
			if want := 1 + strings.Count(c.method, "Watch"); answers != want || len(trailer.Get("x-trailer")) != 1 {
				t.Errorf("%d answers, trailers %v", answers, trailer)
			}
			if user := last.Get("x-user"); len(user) != 1 || user[0] != "alice" || len(last.Get("authorization")) != 0 || strings.Contains(fmt.Sprint(last), "evil") {
				t.Errorf("the server got %v", last)
			}
		})
	}
	t.Run("health checks need no token, and can't forge a user", func(t *testing.T) {
		ctx := metadata.AppendToOutgoingContext(t.Context(), forged...)
		a, err := grpc_health_v1.NewHealthClient(s.dialGRPC(t, simple)).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err != nil || a.Status != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("%v, %v", a, err)
		}
	})
	t.Run("keys that can't be had", func(t *testing.T) {
		s.issuer.Down()
		unknownKid := keys(t).RS256.Named("another").Token(t, s.claims(map[string]any{"aud": "https://grpc.example.com"}), nil)
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+unknownKid)
		if _, _, err := callGRPC(ctx, s.dialGRPC(t, simple), "/shop.Orders/Get"); status.Code(err) != codes.Unavailable {
			t.Errorf("%v", err)
		}
	})
}

// callGRPC makes a call with one message and counts the messages that come back.
func callGRPC(ctx context.Context, conn *grpc.ClientConn, method string) (answers int, trailer metadata.MD, err error) {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return 0, nil, err
	}
	if err := stream.SendMsg(new(emptypb.Empty)); err != nil {
		return 0, nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return 0, nil, err
	}
	for {
		if err := stream.RecvMsg(new(emptypb.Empty)); err != nil {
			if errors.Is(err, io.EOF) {
				return answers, stream.Trailer(), nil
			}
			return answers, stream.Trailer(), err
		}
		answers++
	}
}
