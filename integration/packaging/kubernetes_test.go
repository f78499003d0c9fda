package packaging

import (
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// objects are what `kubectl apply -k` sends.
type objects struct {
	account    corev1.ServiceAccount
	deployment appsv1.Deployment
	service    corev1.Service
	config     corev1.ConfigMap
}

// kustomized builds the example with Kustomize, and reads each object strictly: a field
// that the API does not know is an error.
func kustomized(t *testing.T) *objects {
	t.Helper()
	k := krusty.MakeKustomizer(krusty.MakeDefaultOptions())
	resources, err := k.Run(filesys.MakeFsOnDisk(), filepath.Join(repository, "examples", "kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	var o objects
	into := map[string]any{"ServiceAccount": &o.account, "Deployment": &o.deployment, "Service": &o.service, "ConfigMap": &o.config}
	for _, r := range resources.Resources() {
		target, known := into[r.GetKind()]
		if !known {
			t.Fatalf("the example has a %s more than this test knows of", r.GetKind())
		}
		delete(into, r.GetKind())
		text, err := r.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		// As the API server reads it: case matters, too.
		if unknown, err := json.UnmarshalStrict(text, target); err != nil || len(unknown) != 0 {
			t.Errorf("%s: %v, %v", r.GetKind(), err, unknown)
		}
	}
	if len(into) != 0 {
		t.Fatalf("the example has no %q", slices.Collect(maps.Keys(into)))
	}
	return &o
}

func TestKubernetes(t *testing.T) {
	t.Parallel()
	_, image := dockerfile(t)
	o := kustomized(t)
	pod := o.deployment.Spec.Template
	if len(pod.Spec.Containers) != 1 {
		t.Fatalf("%d containers; want 1", len(pod.Spec.Containers))
	}
	caddy := pod.Spec.Containers[0]
	caddyfile := read(t, "examples", "kubernetes", "Caddyfile")

	t.Run("meets the restricted pod security standard", func(t *testing.T) {
		s, c := pod.Spec.SecurityContext, caddy.SecurityContext
		if s == nil || c == nil {
			t.Fatal("no security context")
		}
		if s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("the pod: %+v", s)
		}
		if c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation || c.Capabilities == nil || !slices.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(c.Capabilities.Add) != 0 ||
			c.ReadOnlyRootFilesystem == nil || !*c.ReadOnlyRootFilesystem {
			t.Errorf("the container: %+v", c)
		}
		user := only[*instructions.UserCommand](t, image).User
		if s.RunAsUser == nil || s.RunAsGroup == nil || s.FSGroup == nil || *s.FSGroup != *s.RunAsGroup ||
			user != strings.Join([]string{decimal(*s.RunAsUser), decimal(*s.RunAsGroup)}, ":") {
			t.Errorf("the pod: %+v; the image's user is %s", s, user)
		}
	})
	t.Run("parts find each other", func(t *testing.T) {
		labels := pod.Labels
		for _, selector := range []map[string]string{o.deployment.Spec.Selector.MatchLabels, o.service.Spec.Selector} {
			if len(selector) == 0 {
				t.Error("an empty selector")
			}
			for name, value := range selector {
				if labels[name] != value {
					t.Errorf("a selector for %s=%s; the pod has %v", name, value, labels)
				}
			}
		}
		if pod.Spec.ServiceAccountName != o.account.Name {
			t.Errorf("service account %q; want %q", pod.Spec.ServiceAccountName, o.account.Name)
		}
		for _, object := range []string{o.account.Namespace, o.deployment.Namespace, o.service.Namespace, o.config.Namespace} {
			if object != "default" {
				t.Errorf("namespace %q; the README's commands and the Caddyfile say default", object)
			}
		}
		mounts := map[string]string{}
		for _, m := range caddy.VolumeMounts {
			mounts[m.Name] = m.MountPath
			if m.SubPath != "" {
				t.Errorf("%s: changes do not reach a subPath", m.Name)
			}
		}
		for _, v := range pod.Spec.Volumes {
			at, mounted := mounts[v.Name]
			delete(mounts, v.Name)
			var ok bool
			switch {
			case v.ConfigMap != nil:
				ok = v.ConfigMap.Name == o.config.Name && at == "/etc/caddy" && o.config.Data["Caddyfile"] == caddyfile
			case v.Secret != nil:
				ok = at == "/keys" && v.Secret.DefaultMode != nil && *v.Secret.DefaultMode == 0o440
				mentions(t, "examples/kubernetes/README.md", "create secret generic "+v.Secret.SecretName+" --from-file=keys.jsonl")
			case v.EmptyDir != nil:
				ok = at == "/data"
			}
			if !mounted || !ok {
				t.Errorf("the volume %s is mounted at %q", v.Name, at)
			}
		}
		if len(mounts) != 0 {
			t.Errorf("mounts without a volume: %v", mounts)
		}
	})
	t.Run("ports are those of the Caddyfile", func(t *testing.T) {
		ports := map[string]int32{}
		for _, p := range caddy.Ports {
			ports[p.Name] = p.ContainerPort
			if !strings.Contains(caddyfile, "http://:"+decimal(int64(p.ContainerPort))+" {\n") {
				t.Errorf("the Caddyfile has no site at the port %s, %d", p.Name, p.ContainerPort)
			}
		}
		for _, p := range o.service.Spec.Ports {
			if p.TargetPort.String() != "http" || ports["http"] == 0 {
				t.Errorf("the Service has the port %+v; want that of the guarded site alone", p)
			}
		}
		for _, probe := range []*corev1.Probe{caddy.ReadinessProbe, caddy.LivenessProbe} {
			if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Port.String() != "health" || !strings.Contains(caddyfile, "respond "+probe.HTTPGet.Path+" 200") {
				t.Errorf("the probe %+v", probe)
			}
		}
	})
	t.Run("no default secret", func(t *testing.T) {
		mentions(t, "examples/kubernetes/Caddyfile", "request>headers>X-Api-Key delete")
		if len(caddy.Env) != 0 || len(o.config.BinaryData) != 0 || len(o.config.Data) != 1 {
			t.Errorf("variables %v, data %v", caddy.Env, o.config.Data)
		}
		if ignore := read(t, "examples", "kubernetes", ".gitignore"); !strings.Contains(ignore, "/keys.jsonl\n") {
			t.Errorf("git would take the keys: .gitignore has %q", ignore)
		}
	})
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
