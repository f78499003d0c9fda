package offline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
)

// The names of the modules with which a config is looked at. They are registered when the
// first is, so no config of a server can have them.
const (
	looking = "jwt_explain"
	standIn = "jwt_stand_in"
)

var register = sync.OnceFunc(func() {
	caddy.RegisterModule(new(app))
	caddy.RegisterModule(new(storage))
	caddy.RegisterModule(new(StandIn))
})

// answers are the questions that are being answered, by their ids.
var answers sync.Map

// answer is a question on its way through the provisioning of its config.
type answer struct {
	ctx      context.Context
	question *explain.Question
	look     *shared.Look
	report   explain.Report
	err      error
}

// answerOf returns the question with an id.
func answerOf(id string) (*answer, error) {
	if a, ok := answers.Load(id); ok {
		return a.(*answer), nil
	}
	return nil, errors.New("this module is for explaining alone")
}

// jwtApp is the app of the config.
type jwtApp interface {
	// Look makes the app answer as if it had started.
	Look(ctx context.Context) error
}

// app answers a question while its config is provisioned, when all of its modules are there.
// Caddy has a way to provision a config and clean up after it, `caddy validate`, but none to
// do anything in between.
type app struct {
	ID string `json:"id"`
}

// CaddyModule returns the module's information.
func (*app) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: looking, New: func() caddy.Module { return new(app) }}
}

// Provision answers the question.
func (a *app) Provision(ctx caddy.Context) error {
	answer, err := answerOf(a.ID)
	if err != nil {
		return err
	}
	answer.err = answer.give(ctx)
	return answer.err
}

func (a *answer) give(ctx caddy.Context) error {
	servers := map[string]*caddyhttp.Server{}
	loaded, err := ctx.AppIfConfigured("http")
	if err != nil && !errors.Is(err, caddy.ErrNotConfigured) {
		return err
	}
	if h, ok := loaded.(*caddyhttp.App); ok {
		servers = h.Servers
	}
	jwt, err := ctx.App("jwt")
	if err != nil {
		return err
	}
	if err := jwt.(jwtApp).Look(a.ctx); err != nil {
		return err
	}
	a.report, err = explain.Walk(a.ctx, servers, a.question)
	return err
}

// Start implements caddy.App. The config is never started.
func (*app) Start() error { return errors.New("this config is for explaining alone") }

// Stop implements caddy.App.
func (*app) Stop() error { return nil }

// storage is the storage of a config that is looked at: the one that the config names, from
// which can only be read.
type storage struct {
	ID         string          `json:"id"`
	StorageRaw json.RawMessage `json:"storage,omitempty" caddy:"namespace=caddy.storage inline_key=module"`

	storage certmagic.Storage
}

// CaddyModule returns the module's information.
func (*storage) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.storage." + looking, New: func() caddy.Module { return new(storage) }}
}

// Provision loads the storage.
func (s *storage) Provision(ctx caddy.Context) error {
	answer, err := answerOf(s.ID)
	if err != nil {
		return err
	}
	inner := caddy.DefaultStorage
	var of certmagic.Storage = inner
	if s.StorageRaw != nil && string(s.StorageRaw) != "null" {
		module, err := ctx.LoadModule(s, "StorageRaw")
		if err != nil {
			return err
		}
		converter, ok := module.(caddy.StorageConverter)
		if !ok {
			return errors.New("the module is no storage")
		}
		if of, err = converter.CertMagicStorage(); err != nil {
			return fmt.Errorf("creating storage value: %w", err)
		}
	}
	s.storage = answer.look.Storage(of)
	return nil
}

// CertMagicStorage implements caddy.StorageConverter.
func (s *storage) CertMagicStorage() (certmagic.Storage, error) { return s.storage, nil }

// StandIn stands for a handler that would act when it is provisioned, and is not known to be
// harmless. Its module is said to be that of the handler.
type StandIn struct {
	For string `json:"for"`
}

// CaddyModule returns the module's information.
func (s *StandIn) CaddyModule() caddy.ModuleInfo {
	id := standIn
	if s.For != "" {
		id = s.For
	}
	return caddy.ModuleInfo{ID: caddy.ModuleID(handlers + id), New: func() caddy.Module { return new(StandIn) }}
}

// ServeHTTP serves nothing, as no request comes here.
func (s *StandIn) ServeHTTP(http.ResponseWriter, *http.Request, caddyhttp.Handler) error {
	return caddyhttp.Error(http.StatusInternalServerError, errors.New("the handler is for explaining alone"))
}

var (
	_ caddy.App                   = (*app)(nil)
	_ caddy.Provisioner           = (*app)(nil)
	_ caddy.StorageConverter      = (*storage)(nil)
	_ caddy.Provisioner           = (*storage)(nil)
	_ caddyhttp.MiddlewareHandler = (*StandIn)(nil)
)
