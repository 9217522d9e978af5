package v1alpha1_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/randfill"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// filled is a TorrentDownload with every field at random, some of them zero.
func filled(data []byte) *v1alpha1.TorrentDownload {
	f := randfill.NewFromGoFuzz(data).NilChance(0.3).NumElements(1, 3).MaxDepth(12).Funcs(
		func(t *metav1.Time, c randfill.Continue) {
			// Times have seconds on the wire.
			*t = metav1.Unix(int64(c.Uint32()), 0)
		},
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewQuantity(c.Int63n(math.MaxInt64), resource.BinarySI)
		},
		func(m *metav1.ObjectMeta, c randfill.Continue) {
			m.Name, m.Namespace, m.Generation = "imagenet", "ml", c.Int63n(100)
			m.Annotations = map[string]string{v1alpha1.AnnotationRetryRequestedAt: c.String(10)}
		},
	)
	td := &v1alpha1.TorrentDownload{}
	f.Fill(td)
	td.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "TorrentDownload"}
	return td
}

// FuzzRoundTrip holds that nothing is lost or changed on the way through JSON,
// through unstructured objects, and through a deep copy.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("a torrent"))
	f.Add([]byte("\x00\x01\x02\x03\xff\xfe\xfd\xfc00000000000000000000000000000000000000000000"))
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		f.Fatal(err)
	}
	codecs := serializer.NewCodecFactory(scheme)
	codec := codecs.LegacyCodec(v1alpha1.GroupVersion)
	// What is empty and what is absent are one on the wire.
	same := cmp.Options{cmpopts.EquateEmpty(), cmp.Comparer(func(a, b resource.Quantity) bool { return a.Cmp(b) == 0 }), cmp.Comparer(func(a, b metav1.Time) bool { return a.Time.Equal(b.Time) })}

	f.Fuzz(func(t *testing.T, data []byte) {
		td := filled(data)

		if clone := td.DeepCopy(); !equality.Semantic.DeepEqual(td, clone) {
			t.Errorf("deep copy differs: %s", cmp.Diff(td, clone, same))
		}

		b, err := runtime.Encode(codec, td)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := runtime.Decode(codecs.UniversalDecoder(v1alpha1.GroupVersion), b)
		if err != nil {
			t.Fatal(err)
		}
		decoded.(*v1alpha1.TorrentDownload).TypeMeta = td.TypeMeta
		if diff := cmp.Diff(td, decoded, same); diff != "" {
			t.Errorf("JSON round trip (-want +got):\n%s", diff)
		}

		u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(td)
		if err != nil {
			t.Fatal(err)
		}
		back := &v1alpha1.TorrentDownload{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u, back, true); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(td, back, same); diff != "" {
			t.Errorf("unstructured round trip (-want +got):\n%s", diff)
		}
	})
}

// FuzzTypesAndDefinitionAgree holds that the definition knows every field that
// the types can write: none is pruned.
func FuzzTypesAndDefinitionAgree(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("every field of the types is a field of the definition, whatever is in it"))
	a := newAPIServer(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(filled(data))
		if err != nil {
			t.Fatal(err)
		}
		_, errs := a.admit(u, nil)
		for _, err := range errs {
			if err.Detail == "unknown field" {
				t.Error(err)
			}
		}
	})
}

// An object of an empty spec has none of the fields that nobody set: short
// YAML stays short.
func TestAbsentFieldsAreNotWritten(t *testing.T) {
	td := v1alpha1.TorrentDownload{
		ObjectMeta: metav1.ObjectMeta{Name: "imagenet"},
		Spec: v1alpha1.TorrentDownloadSpec{
			Source: v1alpha1.Source{URL: &v1alpha1.URLSource{Address: "https://example.org/a.torrent"}},
			Volume: v1alpha1.Volume{ClaimName: "data"},
		},
	}
	b, err := json.Marshal(td)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"metadata":{"name":"imagenet"},"spec":{"source":{"url":{"address":"https://example.org/a.torrent"}},"volume":{"claimName":"data"}}}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

// Counters that people look for are written although they are zero.
func TestZeroCountersAreWritten(t *testing.T) {
	status := v1alpha1.TorrentDownloadStatus{
		Progress: &v1alpha1.Progress{LastUpdateTime: &metav1.Time{Time: time.Unix(0, 0)}},
		Pieces:   &v1alpha1.Pieces{},
		Peers:    &v1alpha1.Peers{},
	}
	b, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"progress":{"percent":0,"bytesTotal":0,"bytesVerified":0,"lastUpdateTime":"1970-01-01T00:00:00Z"},"pieces":{"length":0,"total":0,"verified":0},"peers":{"connected":0}}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}
