package client

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

const (
	// maxName is how long a name is that was made from a torrent's: it names
	// a claim, and begins the names of Pods.
	maxName = 52
	// metainfoKey is the key of the .torrent file in its ConfigMap or Secret.
	metainfoKey = "torrent"
	// maxMetainfo is how many bytes a ConfigMap or Secret holds.
	maxMetainfo = 1 << 20
)

// Addition is a download to be added. Exactly one of Metainfo, URL, Magnet and
// InfoHash is set.
type Addition struct {
	Namespace string
	Name      string // "" makes one from the torrent's own.

	Metainfo []byte // The content of a .torrent file.
	URL      string // Where a .torrent file is.
	Magnet   string
	InfoHash string

	Trackers, Peers []string // Besides those that the torrent names.

	// Claim is an existing claim. Without it one is made, of StorageClass (""
	// is the cluster's default) and Size (nil is what the torrent needs).
	Claim        string
	StorageClass string
	Size         *resource.Quantity
	Path         string // Folder of the claim, "" for its root.

	Include, Exclude []string // Patterns of files.
	Seeding          v1alpha1.Seeding
	Limits           v1alpha1.Limits
	Suspended        bool
	DeletionPolicy   v1alpha1.DeletionPolicy // "" is Retain.
}

// Objects are what an addition takes: the TorrentDownload and, for the content
// of a .torrent file, what holds that, which is nil otherwise: a ConfigMap, or a
// Secret if the torrent is private, because its trackers' URLs are secret then.
// The error says what is wrong with the torrent.
func (a *Addition) Objects() (td *v1alpha1.TorrentDownload, holder client.Object, err error) {
	source, name, err := a.source()
	if err != nil {
		return nil, nil, err
	}
	if a.Name != "" {
		name = a.Name
	}
	td = &v1alpha1.TorrentDownload{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: name},
		Spec: v1alpha1.TorrentDownloadSpec{
			Source: source, Volume: v1alpha1.Volume{ClaimName: a.Claim, Path: a.Path},
			Discovery: v1alpha1.Discovery{Trackers: a.Trackers, Peers: a.Peers},
			Files:     v1alpha1.Files{Include: a.Include, Exclude: a.Exclude},
			Seeding:   a.Seeding, Limits: a.Limits, DeletionPolicy: a.DeletionPolicy,
		},
	}
	if a.Suspended {
		td.Spec.Suspend = ptr.To(true)
	}
	if a.Claim == "" {
		td.Spec.Volume.ClaimTemplate = &v1alpha1.ClaimTemplate{Size: a.Size}
		if a.StorageClass != "" {
			td.Spec.Volume.ClaimTemplate.StorageClassName = &a.StorageClass
		}
	}
	if a.Metainfo != nil {
		holder, err = a.hold(td)
	}
	return td, holder, err
}

// source is where the metainfo comes from, and a name made from it.
func (a *Addition) source() (v1alpha1.Source, string, error) {
	given := 0
	for _, there := range []bool{a.Metainfo != nil, a.URL != "", a.Magnet != "", a.InfoHash != ""} {
		if there {
			given++
		}
	}
	if given != 1 {
		return v1alpha1.Source{}, "", fmt.Errorf("a download has one source, and %d were given: a .torrent file, a URL, a magnet link or an info hash", given)
	}
	switch {
	case a.Magnet != "":
		m, err := metainfo.ParseMagnet(a.Magnet)
		if err != nil {
			return v1alpha1.Source{}, "", err
		}
		return v1alpha1.Source{Magnet: a.Magnet}, nameOf(m.Name, m.InfoHash.String()), nil
	case a.InfoHash != "":
		h, err := metainfo.ParseHash(a.InfoHash)
		if err != nil {
			return v1alpha1.Source{}, "", err
		}
		return v1alpha1.Source{InfoHash: h.String()}, nameOf("", h.String()), nil
	case a.URL != "":
		address, _, _ := strings.Cut(a.URL, "?")
		address, _, _ = strings.Cut(address, "#")
		name := strings.TrimSuffix(path.Base(address), ".torrent")
		return v1alpha1.Source{URL: &v1alpha1.URLSource{Address: a.URL}}, nameOf(name, rand.String(8)), nil
	}
	m, err := metainfo.Parse(a.Metainfo)
	if err != nil {
		return v1alpha1.Source{}, "", err
	}
	return v1alpha1.Source{}, nameOf(m.Info.Name, m.InfoHash.String()), nil
}

// hold makes what holds the .torrent file of td. Its name is one that nothing
// else has, not even what is being removed with an earlier download.
func (a *Addition) hold(td *v1alpha1.TorrentDownload) (client.Object, error) {
	m, err := metainfo.Parse(a.Metainfo)
	if err != nil {
		return nil, err
	}
	if len(a.Metainfo) > maxMetainfo {
		return nil, fmt.Errorf("the .torrent file has %d bytes, and Kubernetes keeps %d at most in one object; give its URL or a magnet link instead", len(a.Metainfo), maxMetainfo)
	}
	what := metav1.ObjectMeta{Namespace: a.Namespace, Name: td.Name + "-" + rand.String(5)}
	key := &v1alpha1.KeyReference{Name: what.Name, Key: metainfoKey}
	content := map[string][]byte{metainfoKey: a.Metainfo}
	if m.Info.Private {
		td.Spec.Source.MetainfoFrom = &v1alpha1.MetainfoSource{SecretKeyRef: key}
		return &corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: what, Type: v1alpha1.SecretTypeSource, Data: content,
		}, nil
	}
	td.Spec.Source.MetainfoFrom = &v1alpha1.MetainfoSource{ConfigMapKeyRef: key}
	return &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: what, BinaryData: content}, nil
}

// nameOf makes a name for an object from that of a torrent, or from a hash
// where nothing of that can stay.
func nameOf(torrent, hash string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(torrent) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	s := b.String()
	if s = strings.Trim(s[:min(len(s), maxName)], "-"); s == "" {
		return "torrent-" + hash[:8]
	}
	return s
}

// Add adds a download, and what it needs. What holds its .torrent file goes
// with it when it is deleted. If it is refused, nothing stays behind.
func (c *Client) Add(ctx context.Context, a *Addition) (*v1alpha1.TorrentDownload, error) {
	td, holder, err := a.Objects()
	if err != nil {
		return nil, err
	}
	if holder == nil {
		return td, Explain(c.Create(ctx, td))
	}
	// Whatever is wrong is told before there is anything to clean up.
	if err := c.Create(ctx, td.DeepCopy(), client.DryRunAll); err != nil {
		return nil, Explain(err)
	}
	if err := c.Create(ctx, holder); err != nil {
		return nil, fmt.Errorf("the .torrent file can't be kept in the cluster: %w", Explain(err))
	}
	if err := c.Create(ctx, td); err != nil {
		return nil, errors.Join(Explain(err), c.Delete(context.WithoutCancel(ctx), holder))
	}
	before := holder.DeepCopyObject().(client.Object)
	holder.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind, Name: td.Name, UID: td.UID,
	}})
	if err := c.Patch(context.WithoutCancel(ctx), holder, client.MergeFrom(before)); err != nil {
		return td, fmt.Errorf("the download was added, but %s, which holds its .torrent file, will not be removed with it: %w", holder.GetName(), Explain(err))
	}
	return td, nil
}
