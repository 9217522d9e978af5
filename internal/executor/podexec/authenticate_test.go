package podexec_test

import (
	"context"
	"errors"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/torrent-operator/torrent-operator/internal/executor/podexec"
	"github.com/torrent-operator/torrent-operator/internal/report"
)

// A token is a Pod's, and made for reports, or it is nobody's: the API server
// says which.
func TestAPodIsKnownByItsToken(t *testing.T) {
	c, err := client.NewWithWatch(kube, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "token-"}}
	pod.Spec.Containers = []corev1.Container{{Name: "a", Image: "a"}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}}
	if err := c.Create(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	token := func(audience string, of *corev1.Pod) string {
		t.Helper()
		r := &authenticationv1.TokenRequest{}
		if audience != "" {
			r.Spec.Audiences = []string{audience}
		}
		if of != nil {
			r.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: of.Name, UID: of.UID}
		}
		if err := c.SubResource("token").Create(t.Context(), account, r); err != nil {
			t.Fatal(err)
		}
		return r.Status.Token
	}
	reviews := 0
	a := podexec.NewAuthenticator(interceptor.NewClient(c, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			reviews++
			return c.Create(ctx, o, opts...)
		},
	}))
	good := token(report.Audience, pod)
	for range 2 {
		got, err := a.Authenticate(t.Context(), good)
		if want := (report.Caller{Namespace: "default", Pod: pod.Name, UID: string(pod.UID)}); err != nil || got != want {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if reviews != 1 {
		t.Errorf("the API server was asked %d times about one token", reviews)
	}
	for name, bad := range map[string]string{
		"for the API server": token("", pod),
		"of no Pod":          token(report.Audience, nil),
		"made up":            "made-up",
	} {
		if got, err := a.Authenticate(t.Context(), bad); !errors.Is(err, report.ErrToken) {
			t.Errorf("a token %s is %+v, %v", name, got, err)
		}
	}
}
