//go:build container

package packaging

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// A container is built and run as its Dockerfile says, on this machine: a folder is the
// root of each stage, and paths are below it. What is taken on trust are the two images
// that it starts from, and that a container engine reads a Dockerfile as BuildKit does.
//
// The build takes minutes where nothing of it is cached, so it has a build tag of its own.
func TestTheContainerBuildsAndRuns(t *testing.T) {
	t.Parallel()
	build, image := dockerfile(t)
	stages := t.TempDir()
	// The image's user has to get to the folder.
	if err := os.Chmod(filepath.Dir(stages), 0o755); err != nil {
		t.Fatal(err)
	}
	roots := map[string]string{build.Name: filepath.Join(stages, "build"), image.Name: filepath.Join(stages, "image")}
	b := &container{t: t, root: roots[build.Name], workdir: "/"}
	b.execute(build, roots)
	c := &container{t: t, root: roots[image.Name], workdir: "/"}
	c.execute(image, roots)

	t.Run("the binary has the plugin and needs no libraries", func(t *testing.T) {
		c.t = t
		if list, err := c.command(c.entrypoint[0], "list-modules").Output(); err != nil || !strings.Contains(string(list), "http.handlers.jwt\n") {
			t.Errorf("caddy list-modules: %v\n%s", err, list)
		}
		if info, err := exec.CommandContext(t.Context(), "go", "version", "-m", c.path("/usr/bin/caddy")).Output(); err != nil || !strings.Contains(string(info), "CGO_ENABLED=0") {
			t.Errorf("go version -m: %v\n%s", err, info)
		}
	})
	t.Run("the image's user owns its folders, and nobody else reads them", func(t *testing.T) {
		for _, volume := range c.volumes {
			info, err := os.Stat(c.path(volume))
			if err != nil || info.Mode().Perm() != 0o700 || (changesUsers && owner(info) != c.uid) {
				t.Errorf("%s: %v, %v; want mode 0700 and the owner %d", volume, info, err, c.uid)
			}
		}
	})
	t.Run("the example for Compose runs", func(t *testing.T) {
		c.t = t
		c.runExample(stages)
	})
}

// container is a stage, and, once it was built, what runs in it.
type container struct {
	t          *testing.T
	root       string
	workdir    string
	env        []string
	uid        int
	volumes    []string
	entrypoint []string
	cmd        []string
	health     []string
}

// path is a path of the container on this machine.
func (c *container) path(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.workdir, path)
	}
	return filepath.Join(c.root, path)
}

// absolute matches the absolute paths of a command.
var absolute = regexp.MustCompile(`(^|[\s='"])/(\w)`)

func (c *container) onThisMachine(command string) string {
	return absolute.ReplaceAllString(command, "${1}"+c.root+"/${2}")
}

// execute does what a stage says, and fails for what it does not know.
func (c *container) execute(stage instructions.Stage, roots map[string]string) {
	c.t.Helper()
	for _, command := range stage.Commands {
		switch i := command.(type) {
		case *instructions.WorkdirCommand:
			c.workdir = i.Path
			c.check(os.MkdirAll(c.path("/"+i.Path), 0o755))
		case *instructions.EnvCommand:
			for _, v := range i.Env {
				c.env = append(c.env, v.Key+"="+c.onThisMachine(v.Value))
			}
		case *instructions.CopyCommand:
			c.copy(i, roots)
		case *instructions.RunCommand:
			c.run(i)
		case *instructions.VolumeCommand:
			c.volumes = i.Volumes
		case *instructions.UserCommand:
			uid, _, _ := strings.Cut(i.User, ":")
			n, err := strconv.Atoi(uid)
			c.check(err)
			c.uid = n
		case *instructions.EntrypointCommand:
			c.entrypoint = i.CmdLine
		case *instructions.CmdCommand:
			c.cmd = i.CmdLine
		case *instructions.HealthCheckCommand:
			c.health = i.Health.Test
		case *instructions.ExposeCommand:
		default:
			c.t.Fatalf("this test does not know what %s does", command)
		}
	}
}

func (c *container) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// run runs a RUN.
func (c *container) run(i *instructions.RunCommand) {
	c.t.Helper()
	if len(i.CmdLine) != 1 || !i.PrependShell {
		c.t.Fatalf("this test does not know what %s does", i)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 25*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "sh", "-c", c.onThisMachine(i.CmdLine[0]))
	command.Dir = c.path(c.workdir)
	command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if output, err := command.CombinedOutput(); err != nil {
		c.t.Fatalf("%s: %v\n%s", i, err, output)
	}
}

// fromImages are the files that the Dockerfile takes from the images that it starts from.
var fromImages = map[string]bool{"/etc/ssl/certs/ca-certificates.crt": true}

// copy does a COPY. As in a container, the content of a folder is copied, and to a
// folder where the destination ends in a slash or there are several sources.
func (c *container) copy(i *instructions.CopyCommand, roots map[string]string) {
	c.t.Helper()
	to := c.path(i.DestPath)
	folder := strings.HasSuffix(i.DestPath, "/") || i.DestPath == "."
	for _, source := range i.SourcePaths {
		if i.From == "" && source == "." {
			copyContext(c.t, to)
			continue
		}
		from := filepath.Join(repository, source)
		if i.From != "" {
			root, known := roots[i.From]
			if !known {
				c.t.Fatalf("%s: no such stage", i)
			}
			if fromImages[source] {
				continue
			}
			from = filepath.Join(root, source)
		}
		info, err := os.Stat(from)
		c.check(err)
		switch {
		case info.IsDir():
			c.check(c.copyFolder(from, to, i.Chown))
		case folder:
			c.check(copyFile(from, filepath.Join(to, filepath.Base(from))))
		default:
			c.check(copyFile(from, to))
		}
	}
}

// copyFolder copies what is in a folder, with modes.
func (c *container) copyFolder(from, to, chown string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == from {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !d.IsDir() {
			err = copyFile(path, target)
		} else if err = os.Mkdir(target, info.Mode().Perm()); errors.Is(err, fs.ErrExist) {
			return nil
		}
		if err != nil || chown == "" || !changesUsers {
			return err
		}
		uid, gid, _ := strings.Cut(chown, ":")
		u, err := strconv.Atoi(uid)
		if err != nil {
			return err
		}
		g, err := strconv.Atoi(gid)
		if err != nil {
			return err
		}
		return os.Chown(target, u, g)
	})
}
