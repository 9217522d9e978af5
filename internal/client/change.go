package client

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// Suspend stops a download and its seeding. What was fetched is kept.
func (c *Client) Suspend(ctx context.Context, key types.NamespacedName) error {
	return c.change(ctx, key, patch{"spec": patch{"suspend": true}})
}

// Resume lets a suspended download go on.
func (c *Client) Resume(ctx context.Context, key types.NamespacedName) error {
	return c.change(ctx, key, patch{"spec": patch{"suspend": nil}})
}

// Limits are limits to be changed: nil leaves one as it is, and zero removes
// it.
type Limits struct {
	DownloadBytesPerSecond *resource.Quantity
	UploadBytesPerSecond   *resource.Quantity
	MaxPeers               *int32
}

// SetLimits changes what a download may use.
func (c *Client) SetLimits(ctx context.Context, key types.NamespacedName, l Limits) error {
	limits := patch{}
	for name, q := range map[string]*resource.Quantity{
		"downloadBytesPerSecond": l.DownloadBytesPerSecond, "uploadBytesPerSecond": l.UploadBytesPerSecond,
	} {
		switch {
		case q == nil:
		case q.IsZero():
			limits[name] = nil
		default:
			limits[name] = q.String()
		}
	}
	switch {
	case l.MaxPeers == nil:
	case *l.MaxPeers == 0:
		limits["maxPeers"] = nil
	default:
		limits["maxPeers"] = *l.MaxPeers
	}
	return c.change(ctx, key, patch{"spec": patch{"limits": limits}})
}

// SetSeeding says until when a complete download serves others.
func (c *Client) SetSeeding(ctx context.Context, key types.NamespacedName, s v1alpha1.Seeding) error {
	seeding := patch{"policy": s.Policy, "ratioPercent": nil, "durationSeconds": nil}
	if s.RatioPercent != 0 {
		seeding["ratioPercent"] = s.RatioPercent
	}
	if s.DurationSeconds != 0 {
		seeding["durationSeconds"] = s.DurationSeconds
	}
	return c.change(ctx, key, patch{"spec": patch{"seeding": seeding}})
}

// Verify asks for all data on the volume to be hashed again.
func (c *Client) Verify(ctx context.Context, key types.NamespacedName) error {
	return c.request(ctx, key, v1alpha1.AnnotationVerifyRequestedAt)
}

// Retry asks for a failed download to be tried again now.
func (c *Client) Retry(ctx context.Context, key types.NamespacedName) error {
	return c.request(ctx, key, v1alpha1.AnnotationRetryRequestedAt)
}

// request sets an annotation to the time, as a value that it has not had yet.
func (c *Client) request(ctx context.Context, key types.NamespacedName, annotation string) error {
	now := time.Now().UTC().Format(time.RFC3339Nano)
	return c.change(ctx, key, patch{"metadata": patch{"annotations": patch{annotation: now}}})
}

// noticeWithin is how long the operator has to notice a change before Remove
// gives up.
const noticeWithin = 20 * time.Second

// Remove deletes a TorrentDownload. data, if not nil, says what becomes of its
// data, whatever spec.deletionPolicy says so far: it is set first, and the
// object deleted when the operator has noticed, because one that goes before
// takes its wish along.
func (c *Client) Remove(ctx context.Context, key types.NamespacedName, data *v1alpha1.DeletionPolicy) error {
	if data != nil {
		if err := c.change(ctx, key, patch{"spec": patch{"deletionPolicy": *data}}); err != nil {
			return err
		}
		if err := c.awaitNotice(ctx, key); err != nil {
			return err
		}
	}
	return Explain(c.Delete(ctx, named(key)))
}

// awaitNotice waits until the operator has acted upon the latest spec.
func (c *Client) awaitNotice(ctx context.Context, key types.NamespacedName) error {
	ctx, cancel := context.WithTimeout(ctx, noticeWithin)
	defer cancel()
	noticed := false
	err := c.Follow(ctx, Query{Namespace: key.Namespace, Name: key.Name}, func(all Downloads) bool {
		td := all[key]
		noticed = td == nil || td.Status.ObservedGeneration >= td.Generation
		return !noticed
	})
	if err == nil && !noticed {
		err = fmt.Errorf("%s was not deleted: the operator has not noticed yet what is to become of its data; look whether it runs, and try again", key.Name)
	}
	return err
}

// patch is a merge patch: what is to be, by name; nil removes (RFC 7396).
type patch map[string]any

// change changes fields of a TorrentDownload, whatever its others are.
func (c *Client) change(ctx context.Context, key types.NamespacedName, what patch) error {
	b, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return Explain(c.Patch(ctx, named(key), client.RawPatch(types.MergePatchType, b)))
}

// named is a TorrentDownload of which only the name matters.
func named(key types.NamespacedName) *v1alpha1.TorrentDownload {
	return &v1alpha1.TorrentDownload{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
}
