package keystore

import (
	"context"
	"testing"
)

// BenchmarkIntrospectionKept asks about a token whose answer is kept.
func BenchmarkIntrospectionKept(b *testing.B) {
	d := newDesk()
	d.say(opaque(1), object{"sub": "ada", "scope": "read write", "exp": 4102444800})
	i := asks(b, d, nil)
	expectB(b, about(i, opaque(1)))
	token, ctx := opaque(1), context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, active, err := i.Introspect(ctx, token); !active || err != nil {
			b.Fatal(active, err)
		}
	}
}

func expectB(b *testing.B, got string) {
	b.Helper()
	if got != "active" {
		b.Fatal(got)
	}
}

// BenchmarkIntrospectionRefused asks about a token that is known not to be active.
func BenchmarkIntrospectionRefused(b *testing.B) {
	i := asks(b, newDesk(), nil)
	_ = about(i, opaque(1))
	token, ctx := opaque(1), context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, active, err := i.Introspect(ctx, token); active || err != nil {
			b.Fatal(active, err)
		}
	}
}
