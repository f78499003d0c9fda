package packaging

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// composeProject is the example as Compose reads it, checked against its schema.
func composeProject(t *testing.T) *types.Project {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(repository, "examples", "compose", "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	options, err := cli.NewProjectOptions([]string{file}, cli.WithWorkingDirectory(filepath.Dir(file)))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestCompose(t *testing.T) {
	t.Parallel()
	_, image := dockerfile(t)
	project := composeProject(t)
	caddy, err := project.GetService("caddy")
	if err != nil {
		t.Fatal(err)
	}

	t.Run("builds the Dockerfile", func(t *testing.T) {
		root, err := filepath.Abs(repository)
		if err != nil {
			t.Fatal(err)
		}
		if caddy.Build == nil || caddy.Build.Context != root || caddy.Build.Dockerfile != "Dockerfile" {
			t.Errorf("builds %+v; want the Dockerfile of %s", caddy.Build, root)
		}
	})
	t.Run("keeps every service small", func(t *testing.T) {
		for name, s := range project.Services {
			if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.Privileged || s.User != "" {
				t.Errorf("%s: read_only %v, cap_drop %v, security_opt %v, privileged %v, user %q", name, s.ReadOnly, s.CapDrop, s.SecurityOpt, s.Privileged, s.User)
			}
		}
	})
	t.Run("opens nothing to the network, and the upstream to Caddy alone", func(t *testing.T) {
		for name, s := range project.Services {
			for _, port := range s.Ports {
				if name != "caddy" || port.HostIP != "127.0.0.1" {
					t.Errorf("%s publishes %+v", name, port)
				}
			}
		}
		upstream := project.Services["upstream"]
		for name := range upstream.Networks {
			if !project.Networks[name].Internal {
				t.Errorf("the upstream is in the network %s, which is not internal", name)
			}
		}
	})
	t.Run("mounts what is there, where the Caddyfiles look for it", func(t *testing.T) {
		for name, s := range project.Services {
			var configured bool
			for _, v := range s.Volumes {
				if v.Type != types.VolumeTypeBind {
					continue
				}
				if _, err := os.Stat(filepath.Join(v.Source, "Caddyfile")); err != nil || !v.ReadOnly {
					t.Errorf("%s mounts %s at %s: %v, read-only %v", name, v.Source, v.Target, err, v.ReadOnly)
				}
				configured = configured || v.Target == "/etc/caddy"
			}
			if !configured {
				t.Errorf("%s has no Caddyfile", name)
			}
		}
		// A volume takes over the owner of the image's folder, if the image has that folder.
		folders := slices.Clone(only[*instructions.VolumeCommand](t, image).Volumes)
		var mounted []string
		for _, v := range caddy.Volumes {
			if v.Type == types.VolumeTypeVolume {
				mounted = append(mounted, v.Target)
			}
		}
		slices.Sort(folders)
		slices.Sort(mounted)
		if !slices.Equal(folders, mounted) {
			t.Errorf("volumes at %q; the image has %q", mounted, folders)
		}
		mentions(t, "examples/compose/caddy/Caddyfile", "{file./run/secrets/jwt_secret}", "api_keys /keys/keys.jsonl", "https_port 8443", "http_port 8080")
		mentions(t, "examples/compose/README.md", "--append /keys/keys.jsonl", "./keys.sh make")
	})
	t.Run("has a secret that a command makes, and none of its own", func(t *testing.T) {
		if len(caddy.Secrets) != 1 || len(project.Secrets) != 1 {
			t.Fatalf("secrets %+v, %+v; want one", caddy.Secrets, project.Secrets)
		}
		secret := project.Secrets[caddy.Secrets[0].Source]
		if secret.Content != "" || secret.Environment != "" || filepath.Base(secret.File) != "jwt_secret" || caddy.Secrets[0].UID != "" || caddy.Secrets[0].Mode != nil {
			t.Errorf("the secret is %+v, %+v", secret, caddy.Secrets[0])
		}
		if ignore := read(t, "examples", "compose", ".gitignore"); !strings.Contains(ignore, "/secrets/\n") {
			t.Errorf("git would take the secret: .gitignore has %q", ignore)
		}
		for name, s := range project.Services {
			if len(s.Environment) != 0 {
				t.Errorf("%s has the environment %v", name, s.Environment)
			}
		}
	})
}
